import { useEffect, useState } from 'preact/hooks';
import type { CallRecord } from '../../shapes.ts';
import { askJson } from '../live/access.ts';
import { href, place } from '../live/place.ts';
import { calls, callsLeftOut, receiveCalls } from '../live/state.ts';
import { Badge, Choice, Empty, Fact, Search, type Tone } from '../parts/bits.tsx';
import { VirtualTable, type Column } from '../parts/virtual-table.tsx';
import { count, ms, timeOf } from '../parts/words.ts';

const columns: readonly Column<CallRecord>[] = [
  { title: 'Ended', cell: ({ at }) => timeOf(at) },
  { title: 'What', cell: ({ label }) => label },
  { title: 'Result', cell: ({ result }) => <Badge tone={toneOf(result)}>{result}</Badge> },
  { title: 'Took', number: true, cell: ({ durationMs }) => ms(durationMs) },
  { title: 'Instance', cell: ({ instance }) => instance ?? '—' },
  { title: 'Client', cell: ({ client }) => client },
];

function toneOf(result: string): Tone {
  if (result === 'ok') return 'good';
  return result === 'cancelled' ? 'plain' : result === 'tool-error' ? 'warn' : 'bad';
}

/** Every call as it ends, newest first. */
export function Requests() {
  const { parts, query } = place.value;
  const [text, setText] = useState(query.get('find') ?? '');
  const [which, setWhich] = useState<'all' | 'failed'>('all');
  const [held, setHeld] = useState<readonly CallRecord[] | undefined>(undefined);
  useEffect(() => {
    askJson<{ calls: readonly CallRecord[] }>('calls').then(
      (body) => receiveCalls(body.calls),
      () => undefined,
    );
  }, []);
  const all = held ?? calls.value;
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = all.filter((call) => (which === 'all' || call.result !== 'ok') && hasWords(call, words));
  const chosen = all.find(({ n }) => String(n) === parts[1]);
  return (
    <>
      <h1>Requests</h1>
      <div class="tools">
        <Search label="Filter calls" value={text} onChange={setText} />
        <Choice
          label="Which calls"
          value={which}
          values={[
            ['all', 'All'],
            ['failed', 'Not ok'],
          ]}
          onChange={setWhich}
        />
        <button
          type="button"
          aria-pressed={held !== undefined}
          onClick={() => setHeld(held ? undefined : calls.value)}
        >
          {held ? 'Go on' : 'Hold still'}
        </button>
      </div>
      {callsLeftOut.value > 0 && (
        <p class="quiet">{count(callsLeftOut.value, 'call')} came too fast to be listed.</p>
      )}
      {chosen && <Call call={chosen} />}
      {rows.length > 0 ? (
        <VirtualTable
          label="Calls"
          layout="calls-grid"
          rows={rows}
          columns={columns}
          keyOf={({ n }) => n}
          hrefOf={({ n }) => href('requests', String(n))}
          current={chosen?.n}
        />
      ) : (
        <Empty title={all.length === 0 ? 'No call has ended yet' : 'No call is like that'}>
          <p>
            {all.length === 0 ? (
              <>
                Calls appear here as they end. <a href={href('connect')}>Connect a client</a>, or try a tool
                out in the <a href={href('catalog')}>catalog</a>.
              </>
            ) : (
              'Names, services, instances, clients and results are searched.'
            )}
          </p>
        </Empty>
      )}
    </>
  );
}

function hasWords(call: CallRecord, words: readonly string[]): boolean {
  if (words.length === 0) return true;
  const { label, service, instance, client, result, method } = call;
  const said = `${label} ${service} ${instance ?? ''} ${client} ${result} ${method}`.toLowerCase();
  return words.every((word) => said.includes(word));
}

function Call({ call }: { readonly call: CallRecord }) {
  return (
    <section class="card" aria-label="The chosen call">
      <h2>{call.label}</h2>
      <dl class="facts">
        <Fact name="Result">
          <Badge tone={toneOf(call.result)}>{call.result}</Badge>
        </Fact>
        <Fact name="Method">{call.method}</Fact>
        <Fact name="Service">
          <a href={href('services', call.service)}>{call.service}</a>
        </Fact>
        <Fact name="Instance">{call.instance ?? 'none was found'}</Fact>
        <Fact name="Tries">{call.attempts}</Fact>
        <Fact name="Took">{ms(call.durationMs)}</Fact>
        <Fact name="Client">
          {call.client} ({call.era === 'modern' ? 'stateless' : 'session'})
        </Fact>
        <Fact name="Ended">{new Date(call.at).toISOString()}</Fact>
      </dl>
      {call.trouble !== undefined && (
        <p class="why">
          {call.result === 'ok' ? 'A try before failed: ' : ''}
          {call.trouble}
        </p>
      )}
      <p>
        <a href={href('requests')}>Close</a>
      </p>
    </section>
  );
}
