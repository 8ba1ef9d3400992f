import { defineConfig, type OxlintOverride } from 'oxlint';

/**
 * Who may import whom (docs/architecture.md): every room may use `../model.ts` and `../errors.ts`; what
 * else it may use stands here. `rooms` are sibling folders of src, `packages` are npm or `node:` names.
 * A room that is missing from this table may import nothing of its siblings.
 */
const rooms: Record<string, { rooms: string[]; packages: string[] }> = {
  config: { rooms: [], packages: ['zod', 'yaml'] },
  catalog: { rooms: [], packages: ['node:crypto'] },
  routing: { rooms: [], packages: [] },
  relay: { rooms: [], packages: ['node:http', 'node:crypto'] },
  discovery: { rooms: [], packages: ['consul', 'zod', 'node:*', 'node:timers/promises'] },
  upstream: {
    rooms: ['relay'],
    packages: [
      '@modelcontextprotocol/**',
      'undici',
      'p-retry',
      'lru-cache',
      'node:crypto',
      'node:tls',
      'node:timers/promises',
    ],
  },
  gateway: {
    rooms: ['relay', 'catalog', 'routing', 'policy', 'upstream', 'shaping'],
    // Of the store only the port: main hands over what implements it.
    packages: ['express', 'lru-cache', 'node:http', 'node:crypto', 'node:net', '../store/store.ts'],
  },
  store: {
    rooms: [],
    packages: ['@redis/client', 'lru-cache', 'node:crypto', 'node:fs', 'node:timers/promises'],
  },
  policy: {
    rooms: ['catalog'],
    packages: ['zod', 'yaml', 'lru-cache', 'node:crypto', 'node:fs', 'node:fs/promises'],
  },
  // Decisions do no I/O.
  'policy/rules': { rooms: ['catalog'], packages: ['zod', 'lru-cache', '@marcbachmann/cel-js'] },
  'policy/profiles': { rooms: ['policy/rules'], packages: ['zod'] },
  'policy/inbound': {
    rooms: ['policy', 'policy/rules'],
    packages: ['zod', 'lru-cache', 'jose', 'oauth4webapi', 'node:crypto', 'node:http', 'node:tls'],
  },
  explain: { rooms: ['catalog', 'routing'], packages: ['fastest-levenshtein'] },
  observability: { rooms: [], packages: ['winston', 'prom-client', 'node:*'] },
  admin: { rooms: [], packages: ['express', 'compression', 'node:http', 'node:crypto'] },
  shaping: {
    rooms: [],
    packages: [
      'zod',
      '@orama/stemmers/*',
      '@cfworker/json-schema',
      '@jmespath-community/jmespath',
      '@toon-format/toon',
    ],
  },
  sidecar: { rooms: ['relay', 'upstream'], packages: ['node:*', 'node:timers/promises'] },
};

function roomRule(room: string, allowed: { rooms: string[]; packages: string[] }): OxlintOverride[] {
  const packages = allowed.packages.map((name) => `!${name}`);
  const message = `${room} may import only model, errors, ${[...allowed.rooms, ...allowed.packages].join(', ') || 'nothing else'} (docs/architecture.md).`;
  const [house] = room.split('/');
  const rule = (files: string, up: string, own: readonly string[]): OxlintOverride => {
    const siblings = allowed.rooms.flatMap((name) =>
      name === house ? ['!../*.ts'] : [`!${up}${name}`, `!${up}${name}/**`, ...inHouse(name, house)],
    );
    const group = ['**', '!./**', ...own, `!${up}model.ts`, `!${up}errors.ts`, ...siblings, ...packages];
    return {
      files: [files],
      rules: { 'no-restricted-imports': ['error', { patterns: [{ group, message }] }] },
    };
  };
  // A room inside of a room stands one folder deeper, and is allowed what stands in the table for it.
  if (room !== house) return [rule(`src/${room}/**/*.ts`, '../../', [])];
  return [
    rule(`src/${room}/*.ts`, '../', []),
    // A folder inside of a room: the rest of the room is its own, too.
    rule(`src/${room}/*/**/*.ts`, '../../', ['!../*.ts', '!../*/*.ts', '../../*.ts']),
  ];
}

/** A neighbour in the same house is imported by the shorter way. */
function inHouse(name: string, house: string | undefined): string[] {
  return name.startsWith(`${house}/`) ? [`!../${name.slice(`${house}/`.length)}/**`] : [];
}

/** The dashboard runs in browsers: of the router it knows the shapes of the admin API, which are types. */
const browserRule: OxlintOverride = {
  files: ['src/admin/ui/**/*.ts', 'src/admin/ui/**/*.tsx'],
  rules: {
    'no-restricted-imports': [
      'error',
      {
        patterns: [
          {
            group: [
              '**',
              '!./**',
              '!../form/*',
              '!../live/*',
              '!../parts/*',
              '!../views/*',
              '!../../shapes.ts',
              '!../../../model.ts',
              '!preact',
              '!preact/hooks',
              '!@preact/signals',
              '!@tanstack/virtual-core',
              '!eventsource-parser',
            ],
            message:
              'The dashboard may import its own files, the shapes of the admin API, preact and its own packages.',
          },
        ],
      },
    ],
  },
};

export default defineConfig({
  plugins: ['typescript', 'unicorn', 'import', 'promise', 'node', 'vitest', 'oxc'],
  categories: { correctness: 'error', suspicious: 'error', perf: 'error' },
  ignorePatterns: ['dist', 'node_modules', 'coverage'],
  rules: {
    'typescript/no-explicit-any': 'error',
    'typescript/no-non-null-assertion': 'error',
    'typescript/no-floating-promises': 'error',
    'typescript/no-misused-promises': 'error',
    'typescript/consistent-type-imports': 'error',
    'typescript/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
    'typescript/prefer-readonly': 'error',
    // Brands are given by assertion at the edges; review looks at each `as`, a rule can't tell them apart.
    'typescript/no-unsafe-type-assertion': 'off',
    'import/no-cycle': 'error',
    'import/no-default-export': 'error',
    'import/no-named-as-default-member': 'off',
    'vitest/require-to-throw-message': 'off',
    'oxc/no-map-spread': 'off',
    // The compiler's noImplicitReturns knows exhaustive switches, this rule does not.
    'typescript/consistent-return': 'off',
    'no-await-in-loop': 'off',
    'unicorn/no-array-sort': 'off',
    'no-underscore-dangle': 'off',
    'no-shadow': 'off',
    'max-lines': ['warn', { max: 400, skipBlankLines: true, skipComments: true }],
    'node/no-process-env': 'error',
    'eslint/no-console': 'error',
  },
  overrides: [
    ...Object.entries(rooms).flatMap(([room, allowed]) => roomRule(room, allowed)),
    browserRule,
    { files: ['src/config/environment.ts'], rules: { 'node/no-process-env': 'off' } },
    { files: ['src/cli.ts', 'src/cli/**/*.ts'], rules: { 'eslint/no-console': 'off' } },
    {
      files: ['test/**/*.ts', 'test/**/*.mjs', 'tools/**/*.ts', '*.ts'],
      rules: {
        'typescript/no-non-null-assertion': 'off',
        'node/no-process-env': 'off',
        'eslint/no-console': 'off',
        'import/no-default-export': 'off',
        'vitest/expect-expect': [
          'error',
          { assertFunctionNames: ['expect', 'eventually', 'fc.assert', 'shows'] },
        ],
        'unicorn/consistent-function-scoping': 'off',
        'no-unsafe-optional-chaining': 'off',
        'unicorn/prefer-set-has': 'off',
        'vitest/no-conditional-expect': 'off',
        'typescript/no-base-to-string': 'off',
        'max-lines': 'off',
      },
    },
  ],
});
