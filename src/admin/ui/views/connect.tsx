import { useState } from 'preact/hooks';
import { serviceList, status } from '../live/state.ts';
import { Choice, Snippet } from '../parts/bits.tsx';
import { clientGuides } from './clients.ts';

/** Ready pieces of settings for each client, for all services or one. */
export function Connect() {
  const [client, setClient] = useState('Claude Code');
  const [service, setService] = useState('');
  const base = dataPlane();
  const url = service === '' ? `${base}/mcp` : `${base}/services/${encodeURIComponent(service)}/mcp`;
  const guides = clientGuides(service === '' ? 'consul' : safeName(service), url);
  const guide = guides.find(({ name }) => name === client);
  return (
    <>
      <h1>Connect a client</h1>
      <div class="tools">
        <label>
          Endpoint for{' '}
          <select value={service} onChange={(event) => setService(event.currentTarget.value)}>
            <option value="">everything</option>
            {serviceList.value.map(({ name }) => (
              <option key={name} value={name}>
                {name} alone
              </option>
            ))}
          </select>
        </label>
      </div>
      <Snippet label="URL" text={url} />
      <Choice
        label="Client"
        value={client}
        values={guides.map(({ name }) => [name, name])}
        onChange={setClient}
      />
      {guide && (
        <section aria-label={guide.name}>
          <p>{guide.how}</p>
          <Snippet label={`For ${guide.name}`} text={guide.snippet} />
          {guide.link !== undefined && (
            <p>
              <a class="button primary" href={guide.link}>
                Add to {guide.name}
              </a>
            </p>
          )}
        </section>
      )}
    </>
  );
}

/** As seen from here: a router that listens everywhere is reached under the name of this page. */
function dataPlane(): string {
  const { host, port } = status.value?.data ?? { host: '127.0.0.1', port: 8080 };
  const everywhere = host === '0.0.0.0' || host === '::';
  const name = everywhere ? location.hostname : host.includes(':') ? `[${host}]` : host;
  return `http://${name}:${port}`;
}

function safeName(service: string): string {
  return service.replaceAll(/[^A-Za-z0-9_-]/g, '-');
}
