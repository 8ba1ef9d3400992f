import { useState } from 'preact/hooks';
import type { ServiceSummary } from '../../shapes.ts';
import { href, place } from '../live/place.ts';
import { serviceList, status } from '../live/state.ts';
import { Choice, Empty, Search, Snippet } from '../parts/bits.tsx';
import { Health, notes, toneOf, total } from '../parts/health.tsx';
import { VirtualTable, type Column } from '../parts/virtual-table.tsx';
import { count, ms } from '../parts/words.ts';
import { Service } from './service.tsx';

const columns: readonly Column<ServiceSummary>[] = [
  { title: 'Service', cell: ({ name }) => name },
  { title: 'Health', cell: (service) => <Health service={service} /> },
  { title: 'Tools', number: true, cell: ({ tools }) => tools },
  { title: 'Under way', number: true, cell: ({ inFlight }) => inFlight },
  { title: 'Latency', number: true, cell: ({ latencyMs }) => ms(latencyMs) },
  { title: 'Versions', cell: ({ versions }) => versions.join(', ') || '—' },
  { title: 'To note', cell: (service) => notes(service).join('; ') },
];

export function Services() {
  const [, name] = place.value.parts;
  return name === undefined ? <ServiceList /> : <Service name={name} />;
}

function ServiceList() {
  const [text, setText] = useState('');
  const [which, setWhich] = useState<'all' | 'troubled'>('all');
  const all = serviceList.value;
  const troubled = all.filter((service) => toneOf(service) !== 'good');
  const words = text.toLowerCase();
  const rows = (which === 'all' ? all : troubled).filter(({ name }) => name.toLowerCase().includes(words));
  return (
    <>
      <h1>Services</h1>
      {all.length === 0 ? (
        <NoServices />
      ) : (
        <>
          <Tiles services={all} />
          <div class="tools">
            <Search label="Find a service" value={text} onChange={setText} />
            <Choice
              label="Which services"
              value={which}
              values={[
                ['all', `All ${all.length}`],
                ['troubled', `In trouble ${troubled.length}`],
              ]}
              onChange={setWhich}
            />
          </div>
          {rows.length === 0 ? (
            <Empty title={which === 'troubled' && words === '' ? 'All is well' : 'No service is called that'}>
              <p>{count(all.length, 'service')} in all.</p>
            </Empty>
          ) : (
            <VirtualTable
              label="Services"
              layout="services-grid"
              rows={rows}
              columns={columns}
              keyOf={({ name }) => name}
              hrefOf={({ name }) => href('services', name)}
            />
          )}
        </>
      )}
    </>
  );
}

function Tiles({ services }: { readonly services: readonly ServiceSummary[] }) {
  const sum = (of: (service: ServiceSummary) => number): number =>
    services.reduce((total, service) => total + of(service), 0);
  const instances = sum((service) => total(service));
  const tiles = [
    ['services', services.length],
    ['instances', instances],
    ['take calls', sum(({ healthy }) => healthy)],
    ['tools', sum(({ tools }) => tools)],
    ['problems', sum(({ problems }) => problems)],
  ] as const;
  return (
    <dl class="tiles">
      {tiles.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value.toLocaleString('en')}</dd>
        </div>
      ))}
    </dl>
  );
}

function NoServices() {
  if (!status.value?.synced) {
    return (
      <Empty title="Waiting for Consul">
        <p>The router has not read the list of services yet. Is the agent running, and is the token right?</p>
      </Empty>
    );
  }
  return (
    <Empty title="Consul has no MCP server yet">
      <p>
        A service is served here when it is registered with the tag <code>mcp</code>. Wrap a server that
        speaks stdio, and it registers itself:
      </p>
      <Snippet
        label="Register a server"
        text="npx mcp-consul-router run --name notes -- npx -y @modelcontextprotocol/server-memory"
      />
      <p>
        {status.value.skipped > 0 &&
          `${count(status.value.skipped, 'registration')} ${status.value.skipped === 1 ? 'is' : 'are'} left out; /api/v1/services says why.`}
      </p>
    </Empty>
  );
}
