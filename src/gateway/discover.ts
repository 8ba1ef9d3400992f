import { RouterError } from '../errors.ts';

import { resultResponse, type RequestEnvelope } from '../relay/envelope.ts';
import type { Answer } from '../relay/answer.ts';
import { MODERN_VERSION } from '../relay/modern.ts';
import { shownBy, type Scope, type ServiceScope } from './scope.ts';
import { capabilitiesOf, mergedIntroduction, modernCapabilities, together } from './introduction.ts';
import { modernFrame, type RouterInfo } from './modern-result.ts';
import type { Sight } from './sight.ts';

/** `server/discover`: what is served here, for clients that have no handshake (2026-07-28, server/discover). */
export function answerDiscover(
  router: RouterInfo,
  table: Sight,
  scope: Scope,
  request: RequestEnvelope,
  answer: Answer,
): void {
  const { capabilities, instructions } = scope.kind === 'service' ? ofService(table, scope) : ofAll(table);
  const spoken = instructions === undefined ? '' : `,"instructions":${JSON.stringify(instructions)}`;
  answer.send(
    200,
    resultResponse(
      request.id,
      `{"resultType":"complete","supportedVersions":["${MODERN_VERSION}"],` +
        `"capabilities":${capabilities}${spoken},${modernFrame(router, table, scope)}}`,
    ),
  );
}

interface Said {
  /** JSON text. */
  readonly capabilities: string;
  readonly instructions: string | undefined;
}

function ofAll(table: Sight): Said {
  const merged = mergedIntroduction(table);
  return {
    capabilities: JSON.stringify(modernCapabilities(merged)),
    instructions: together(table.profile?.instructions, merged.instructions),
  };
}

/** @throws {RouterError} NO_HEALTHY_INSTANCE while nothing is known of the service */
function ofService(table: Sight, scope: ServiceScope): Said {
  const definition = shownBy(table, scope)?.definition;
  const { service } = scope;
  if (!definition) {
    throw new RouterError('NO_HEALTHY_INSTANCE', `${service} is not ready. Try again in a moment.`, {
      service,
      retryAfterMs: 1000,
    });
  }
  const { instructions } = definition;
  if (definition.protocolVersion === MODERN_VERSION) {
    return { capabilities: definition.capabilities, instructions };
  }
  // Tasks of the session era have no counterpart here.
  const { tasks: _tasks, ...rest } = capabilitiesOf(definition);
  return { capabilities: JSON.stringify(rest), instructions };
}
