/** Programs that run what stands behind them. */
const runners = new Set(
  'npx bunx uvx pipx pnpm npm yarn uv dlx exec run x node bun deno tsx env sh bash'.split(' '),
);
const interpreter = /^(?:python|pypy|ruby|perl|java)[\d.]*$/;
/** Names of files that say nothing; what they belong to stands before them. */
const nameless = /^(?:index|main|server|cli|app|run|start|__main__|dist|build|lib|src|bin|out|\.|\.\.)$/;

/**
 * The name of a service whose user gave none: what the command line runs, without runners, options, folders,
 * scopes, versions and endings.
 */
export function serviceName(command: string, args: readonly string[]): string {
  const words = [command, ...args];
  const told = words.find((word) => !isRunner(word) && !word.startsWith('-') && !word.includes('='));
  const parts = (told ?? command)
    .split(/[/\\]/)
    .map((part) => part.replace(/(?<=.)@.*$/, '').replace(/\.(?:[cm]?[jt]s|py|rb|pl|jar|exe|sh)$/, ''))
    .filter((part) => part !== '');
  return parts.findLast((part) => !nameless.test(part)) ?? parts.at(-1) ?? 'mcp-server';
}

function isRunner(word: string): boolean {
  const name = word.split(/[/\\]/).at(-1) ?? word;
  return runners.has(name) || interpreter.test(name);
}
