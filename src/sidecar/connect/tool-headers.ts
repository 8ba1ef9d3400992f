import type { Log, ParamHeader } from '../../model.ts';
import type { RequestEnvelope } from '../../relay/envelope.ts';
import {
  isArray,
  JsonScanError,
  memberIndex,
  memberString,
  scanArray,
  scanObject,
  splice,
  type ScannedObject,
} from '../../relay/json-scan.ts';
import { argumentHeaders } from '../../relay/mirrored-arguments.ts';
import { readParamHeaders } from '../../upstream/param-headers.ts';

/** Tools with annotations that are kept in mind; servers have a few. */
const MAX_TOOLS = 10_000;
const MAX_LISTED = 100_000;

/**
 * Which arguments of which tools are mirrored into headers (2026-07-28, transports/streamable-http, custom headers
 * from tool parameters), learned from the lists that the client gets.
 */
export class ToolHeaders {
  readonly #log: Log;
  readonly #byTool = new Map<string, readonly ParamHeader[]>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** Header pairs for a call. */
  for(call: RequestEnvelope): readonly string[] {
    const name = call.params && memberString(call.text, call.params, 'name');
    const wanted = name === undefined ? undefined : this.#byTool.get(name);
    return wanted ? argumentHeaders(call, wanted) : [];
  }

  /**
   * Learns from a result of `tools/list`; `firstPage`: a list begins.
   * @param text JSON with the result at `result`
   * @returns the text without the tools whose annotations break the rules: a client of HTTP must not show those
   */
  learn(text: string, result: ScannedObject, firstPage: boolean): string {
    if (firstPage) this.#byTool.clear();
    if (!text.includes('"x-mcp-header"')) return text;
    const at = memberIndex(result, 'tools');
    const start = result.starts[at];
    const end = result.ends[at];
    if (start === undefined || end === undefined || !isArray(text, start)) return text;
    try {
      const tools = scanArray(text, start, MAX_LISTED).map(([from, to]) => text.slice(from, to));
      const kept = tools.filter((tool) => this.#keep(tool));
      if (kept.length === tools.length) return text;
      return splice(text, [{ start, end, insert: `[${kept.join(',')}]` }]);
    } catch (error) {
      if (error instanceof JsonScanError) return text;
      throw error;
    }
  }

  #keep(tool: string): boolean {
    if (!tool.includes('"x-mcp-header"')) return true;
    const name = memberString(tool, scanObject(tool, 0), 'name');
    const { inputSchema } = JSON.parse(tool) as { inputSchema?: unknown };
    const headers = readParamHeaders(inputSchema);
    if (typeof headers === 'string') {
      this.#log.warn('a tool is left out of the list', { tool: name, reason: headers });
      return false;
    }
    if (name !== undefined && headers.length > 0 && this.#byTool.size < MAX_TOOLS) {
      this.#byTool.set(name, headers);
    }
    return true;
  }
}
