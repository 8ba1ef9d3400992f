import { readPolicy } from '../../src/policy/policy-document.ts';
import { Policy, type Access } from '../../src/policy/rules/policy.ts';
import { compileRules } from '../../src/policy/rules/rule-set.ts';
import { identity } from '../support/model.ts';

/** What a decision costs: `node test/bench/policy.ts`. Prints microseconds, and ratios to one condition in CEL. */

const RULES = 1000;

/** 50 teams, 100 services; every tenth rule has a condition on arguments. */
function ruleSet(): string {
  const rules = Array.from({ length: RULES }, (_, at) => ({
    name: `rule ${at}`,
    effect: at % 7 === 0 ? 'deny' : 'allow',
    who:
      at % 3 === 0
        ? { groups: [`team-${at % 50}`] }
        : at % 3 === 1
          ? { claims: { tenant: `t-${at % 20}` } }
          : {},
    what: {
      services: `service-${at % 100}`,
      tools: [`*.read_${at % 10}*`, `service-${at % 100}.tool_${at}`],
    },
    ...(at % 10 === 0 && { when: 'args.path.startsWith("/teams/") && size(args.path) < 100' }),
  }));
  return JSON.stringify({ rules });
}

/** No rule falls away by group or service: every name has to be compared with 1000 globs. */
function worstSet(): string {
  const rules = Array.from({ length: RULES }, (_, at) => ({
    name: `rule ${at}`,
    effect: 'allow',
    what: { tools: `*.tool_${at}_*` },
  }));
  return JSON.stringify({ rules });
}

function policyOf(text: string): Policy {
  const read = readPolicy({ text, place: 'bench' });
  if (read.kind === 'wrong') throw new Error(JSON.stringify(read.misfits));
  return new Policy(compileRules(read.value.rules));
}

const hints = { readOnly: true, destructive: false, idempotent: true, openWorld: false };
const access = (service: number, tool: string): Access => ({
  kind: 'tools',
  name: `service-${service}.${tool}`,
  service: `service-${service}`,
  hints,
  meta: {},
  args: () => ({ path: '/teams/a' }),
});

function measure(name: string, times: number, run: (at: number) => unknown): number {
  for (let at = 0; at < Math.min(times, 2000); at += 1) run(at);
  const start = performance.now();
  for (let at = 0; at < times; at += 1) run(at);
  const micros = ((performance.now() - start) / times) * 1000;
  console.log(`${name.padEnd(60)} ${micros.toFixed(2).padStart(8)} µs`);
  return micros;
}

const one = (at: number) =>
  identity(`user-${at}`, { groups: [`team-${at % 50}`, 'all'], claims: { tenant: `t-${at % 20}` } });

const text = ruleSet();
measure('read and compile 1000 rules', 5, () => policyOf(text));
const policy = policyOf(text);
const users = Array.from({ length: 100 }, (_, at) => one(at));
const calls = Array.from({ length: 1000 }, (_, at) => access(at % 100, `read_${at % 10}${at}`));
measure('decide, 100 users × 1000 tools, chains known', 200_000, (at) =>
  policy.decide(users[at % 100] ?? one(0), calls[(at * 7) % 1000] ?? access(0, 'x')),
);
const fresh = policyOf(text);
const user = one(3);
fresh.decide(user, access(0, 'first'));
measure('decide, every tool seen for the first time', 20_000, (at) =>
  fresh.decide(user, access(at % 100, `read_${at % 10}_${at}`)),
);
measure('decide, every identity seen for the first time', 5000, (at) =>
  fresh.decide(one(at), calls[at % 1000] ?? access(0, 'x')),
);
const worst = policyOf(worstSet());
worst.decide(user, access(0, 'first'));
measure('the same 1000 globs for everybody, tool seen for the first time', 5000, (at) =>
  worst.decide(user, access(0, `tool_${at % 1000}_${at}`)),
);
measure('the same 1000 globs for everybody, chain known', 200_000, () =>
  worst.decide(user, access(0, 'tool_999_1')),
);
