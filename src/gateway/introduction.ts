import type { Catalog, ServerDefinition } from '../model.ts';

/**
 * What the merged endpoint says of itself. The core capabilities are what the router can do, not the union of the
 * moment: a client keeps them for its whole session, while services come and go. Extensions are what the services
 * bring, since the router adds nothing to them.
 */
export interface MergedIntroduction {
  readonly extensions: Readonly<Record<string, unknown>>;
  readonly experimental: Readonly<Record<string, unknown>>;
  /** Each service's own, under its namespace; undefined where no service has any. */
  readonly instructions: string | undefined;
}

/** Characters of one service's instructions, and of all together: models read this in every conversation. */
const MAX_EACH = 2000;
const MAX_ALL = 16_000;

const known = new WeakMap<Catalog, MergedIntroduction>();

export function mergedIntroduction({ catalog }: { readonly catalog: Catalog }): MergedIntroduction {
  let merged = known.get(catalog);
  if (!merged) {
    merged = merge(catalog);
    known.set(catalog, merged);
  }
  return merged;
}

/** Services are sorted by name, so every replica says the same in the same order. */
function merge(catalog: Catalog): MergedIntroduction {
  const extensions: Record<string, unknown> = {};
  const experimental: Record<string, unknown> = {};
  const sections: string[] = [];
  let length = 0;
  let left = 0;
  for (const { namespace, definition } of catalog.services) {
    const capabilities = capabilitiesOf(definition);
    for (const [into, from] of [
      [extensions, capabilities['extensions']],
      [experimental, capabilities['experimental']],
    ] as const) {
      for (const [name, settings] of Object.entries(from ?? {})) into[name] ??= settings;
    }
    const text = definition.instructions?.trim();
    if (!text) continue;
    const section = `## ${namespace}\n\n${text.length > MAX_EACH ? `${text.slice(0, MAX_EACH)}…` : text}`;
    length += section.length;
    if (length <= MAX_ALL) sections.push(section);
    else left++;
  }
  if (left > 0) sections.push(`(Instructions of ${left} more services are left out.)`);
  return { extensions, experimental, instructions: sections.length > 0 ? sections.join('\n\n') : undefined };
}

/** A profile's own instructions go before those of its services. */
export function together(own: string | undefined, merged: string | undefined): string | undefined {
  return own === undefined || merged === undefined ? (own ?? merged) : `${own}\n\n${merged}`;
}

export function capabilitiesOf(definition: ServerDefinition): Readonly<Record<string, unknown>> {
  const parsed: unknown = JSON.parse(definition.capabilities);
  return parsed !== null && typeof parsed === 'object' ? (parsed as Record<string, unknown>) : {};
}

/** The extension by which servers of the modern era answer with a task (SEP-2663). */
export const TASKS_EXTENSION = 'io.modelcontextprotocol/tasks';

/** Capabilities for a client of the modern era. */
export function modernCapabilities(merged: MergedIntroduction): Record<string, unknown> {
  return {
    tools: { listChanged: true },
    prompts: { listChanged: true },
    resources: { subscribe: true, listChanged: true },
    completions: {},
    logging: {},
    ...(Object.keys(merged.extensions).length > 0 && { extensions: merged.extensions }),
    ...(Object.keys(merged.experimental).length > 0 && { experimental: merged.experimental }),
  };
}

/** Capabilities for a client of the session era. */
export function legacyCapabilities(
  merged: MergedIntroduction,
  protocolVersion: string,
): Record<string, unknown> {
  const { [TASKS_EXTENSION]: _tasks, ...extensions } = merged.extensions;
  return {
    tools: { listChanged: true },
    prompts: { listChanged: true },
    resources: { subscribe: true, listChanged: true },
    completions: {},
    logging: {},
    // Tasks came with 2025-11-25.
    ...(protocolVersion >= '2025-11-25' && {
      tasks: { list: {}, cancel: {}, requests: { tools: { call: {} } } },
    }),
    ...(Object.keys(extensions).length > 0 && { extensions }),
    ...(Object.keys(merged.experimental).length > 0 && { experimental: merged.experimental }),
  };
}
