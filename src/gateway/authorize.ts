import { RouterError } from '../errors.ts';
import type { RequestEnvelope } from '../relay/envelope.ts';
import { JsonScanError, memberText } from '../relay/json-scan.ts';
import { parseOnce, TwinKeyError } from '../relay/twin-keys.ts';
import type { Destination } from './call.ts';
import type { Sight } from './sight.ts';

declare const authorized: unique symbol;

/** A destination that the rules allow. {@link authorize} alone makes one, and a call takes nothing else. */
export type Authorized = Omit<Destination, 'otherwise'> & {
  readonly [authorized]: true;
  /** Where to ask next if this one answers with an error. */
  readonly otherwise?: (() => Authorized | undefined) | undefined;
};

/** One challenge with all scopes that a call needs. */
export type StepUp = (scopes: readonly string[]) => RouterError;

/**
 * The one place through which every request to a backend passes. Of several destinations the first that is allowed
 * counts; what is not there and what is not allowed have the same answer.
 * @throws {RouterError} what `unknown` of the destination says; NOT_ALLOWED where it is listed and the arguments are
 * what is wrong; INSUFFICIENT_SCOPE
 */
export function authorize(
  sight: Sight,
  to: Destination,
  request: RequestEnvelope,
  stepUp: StepUp,
): Authorized {
  const refused = refusal(sight, to, request, stepUp);
  if (!refused) return grant(sight, to, request, stepUp);
  const next = to.otherwise?.();
  if (next) return authorize(sight, next, request, stepUp);
  throw refused;
}

function grant(sight: Sight, to: Destination, request: RequestEnvelope, stepUp: StepUp): Authorized {
  const { otherwise } = to;
  const next = otherwise && (() => firstAllowed(sight, otherwise(), request, stepUp));
  return { ...to, otherwise: next } as Destination as Authorized;
}

function firstAllowed(
  sight: Sight,
  to: Destination | undefined,
  request: RequestEnvelope,
  stepUp: StepUp,
): Authorized | undefined {
  if (!to) return undefined;
  return refusal(sight, to, request, stepUp)
    ? firstAllowed(sight, to.otherwise?.(), request, stepUp)
    : grant(sight, to, request, stepUp);
}

function refusal(
  sight: Sight,
  { wanted }: Destination,
  request: RequestEnvelope,
  stepUp: StepUp,
): RouterError | undefined {
  if (!wanted) return undefined;
  const decision = sight.decide({ ...wanted, args: () => argumentsOf(request) });
  switch (decision.kind) {
    case 'allow':
      return undefined;
    case 'step-up':
      return stepUp(decision.scopes);
    case 'deny':
      if (!decision.listed) return wanted.unknown();
      return wanted.whateverArgs ? undefined : notAllowed();
  }
}

function notAllowed(): RouterError {
  return new RouterError(
    'NOT_ALLOWED',
    'The rules of this router allow this, but not with these arguments. Change them, or ask whoever keeps the rules.',
  );
}

const none: Readonly<Record<string, unknown>> = {};

/** @throws {RouterError} INVALID_PARAMS where two readers could understand them in two ways */
function argumentsOf({ text, params }: RequestEnvelope): Readonly<Record<string, unknown>> {
  const given = params && memberText(text, params, 'arguments');
  if (given === undefined || !given.startsWith('{')) return none;
  try {
    return parseOnce(given) as Record<string, unknown>;
  } catch (error) {
    const known = error instanceof TwinKeyError || error instanceof JsonScanError;
    const reason = known ? error.message : 'they are no JSON';
    throw new RouterError('INVALID_PARAMS', `"arguments" cannot be checked: ${reason}.`);
  }
}
