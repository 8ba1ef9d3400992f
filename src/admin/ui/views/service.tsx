import type { InstanceView, ServiceBody } from '../../shapes.ts';
import { href } from '../live/place.ts';
import { calls, services, timeline } from '../live/state.ts';
import { Badge, Empty, Fact, StateBadge } from '../parts/bits.tsx';
import { Health, notes } from '../parts/health.tsx';
import { useAnswer } from '../parts/use-answer.ts';
import { count, ms, timeOf } from '../parts/words.ts';

type Served = Extract<ServiceBody, { served: true }>;

/** One service: who serves it, what is wrong, what it offers, what happened to it. */
export function Service({ name }: { readonly name: string }) {
  const summary = services.value.get(name);
  const { body, trouble } = useAnswer<ServiceBody>(`services/${encodeURIComponent(name)}`, summary);
  return (
    <>
      <p class="crumbs">
        <a href={href('services')}>Services</a>
      </p>
      <h1>{name}</h1>
      {summary && (
        <p>
          <Health service={summary} /> take calls{notes(summary).map((note) => `; ${note}`)}
        </p>
      )}
      {trouble !== undefined && !body && (
        <Empty title="Not there">
          <p>{trouble}</p>
        </Empty>
      )}
      {body && !body.served && (
        <Empty title="Registered, but not served">
          <ul>
            {body.skipped.map(({ reason, serviceId }) => (
              <li key={serviceId ?? ''}>{reason.message}</li>
            ))}
          </ul>
        </Empty>
      )}
      {body?.served && <Details service={body} />}
    </>
  );
}

function Details({ service }: { readonly service: Served }) {
  const groups = digestGroups(service.instances);
  return (
    <>
      {service.problems.length > 0 && (
        <section aria-labelledby="problems">
          <h2 id="problems">Problems</h2>
          <ul class="problems">
            {service.problems.map(({ code, message, subject }) => (
              <li key={`${code} ${subject ?? ''} ${message}`}>
                <Badge tone="warn">{code}</Badge> {message}
              </li>
            ))}
          </ul>
        </section>
      )}
      <section aria-labelledby="instances">
        <h2 id="instances">Instances</h2>
        <div class="cards">
          {service.instances.map((instance) => (
            <Instance key={instance.id} instance={instance} groups={groups} />
          ))}
        </div>
      </section>
      <section aria-labelledby="offers">
        <h2 id="offers">
          Offers {count(service.tools.length, 'tool')}, {count(service.prompts.length, 'prompt')}
        </h2>
        <ul class="names">
          {service.tools.map((tool) => (
            <li key={tool.name}>
              <a href={href('catalog', 'tools', tool.canonical)}>{tool.original}</a>
            </li>
          ))}
        </ul>
      </section>
      <Lately name={service.name} />
    </>
  );
}

/** A letter for each definition, where there are several. */
function digestGroups(instances: readonly InstanceView[]): ReadonlyMap<string, string> {
  const digests = new Set(instances.flatMap(({ probe }) => (probe.result === 'learned' ? probe.digest : [])));
  if (digests.size < 2) return new Map();
  return new Map([...digests].sort().map((digest, at) => [digest, String.fromCharCode(65 + (at % 26))]));
}

interface InstanceProps {
  readonly instance: InstanceView;
  readonly groups: ReadonlyMap<string, string>;
}

function Instance({ instance, groups }: InstanceProps) {
  const { endpoint, probe, checks } = instance;
  const group = probe.result === 'learned' ? groups.get(probe.digest) : undefined;
  const drained = instance.state === 'maintenance';
  const failing = checks.filter(({ status }) => status !== 'passing');
  return (
    <article class="card" aria-label={instance.serviceId}>
      <h3>{instance.serviceId}</h3>
      <p>
        <StateBadge state={instance.state} />{' '}
        <Badge tone={instance.receivesCalls ? 'good' : drained ? 'plain' : 'bad'}>
          {instance.receivesCalls ? 'takes calls' : 'takes no calls'}
        </Badge>
      </p>
      {!instance.receivesCalls && <p class={drained ? 'quiet' : 'why'}>{whyNot(instance)}</p>}
      <dl class="facts">
        <Fact name="Address">
          {endpoint.scheme}://{endpoint.host}:{endpoint.port}
          {endpoint.path}
        </Fact>
        <Fact name="Node">
          {instance.node} ({instance.datacenter})
        </Fact>
        <Fact name="Version">{instance.version ?? '—'}</Fact>
        <Fact name="Under way">{instance.inFlight}</Fact>
        <Fact name="Latency">{ms(instance.latencyMs)}</Fact>
        <Fact name="Share of calls">
          {instance.standing ? `${Math.round(instance.standing.share * 100)} %` : '—'}
        </Fact>
        {probe.result === 'learned' && (
          <Fact name="Speaks">
            MCP {probe.protocolVersion}
            {group !== undefined && `, definition ${group}`}
          </Fact>
        )}
      </dl>
      {failing.map(({ id, name, status, output }) => (
        <p class={drained ? 'quiet' : 'why'} key={id}>
          Check “{name}” is {status}: {output || 'it printed nothing'}
        </p>
      ))}
    </article>
  );
}

/** Why an instance takes no calls, with what to do. */
function whyNot({ state, probe, standing }: InstanceView): string {
  if (state === 'maintenance')
    return 'Consul has it in maintenance: running calls finish, new ones go elsewhere.';
  if (state === 'critical') return 'A check of it is critical in Consul.';
  if (probe.result === 'failed' && !probe.hasEarlierDefinition) return probe.reason.message;
  return standing?.why ?? 'It is not in the routing table yet.';
}

const MAX_LATELY = 8;

function Lately({ name }: { readonly name: string }) {
  const happened = timeline.value.filter(({ service }) => service === name).slice(0, MAX_LATELY);
  const made = calls.value.filter(({ service }) => service === name).slice(0, MAX_LATELY);
  return (
    <section aria-labelledby="lately">
      <h2 id="lately">Lately</h2>
      <ul class="story">
        {happened.map(({ n, at, text }) => (
          <li key={n}>
            <time>{timeOf(at)}</time> {text}
          </li>
        ))}
      </ul>
      <p>
        {made.length === 0
          ? 'No call of it has ended since the router started or this page was opened.'
          : `${count(made.length, 'latest call')}: ${made.filter(({ result }) => result === 'ok').length} ok. `}
        {made.length > 0 && <a href={`${href('requests')}?find=${encodeURIComponent(name)}`}>See them</a>}
      </p>
    </section>
  );
}
