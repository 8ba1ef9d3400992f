import { useState } from 'preact/hooks';
import type { TimelineEntry, TimelineKind } from '../../shapes.ts';
import { href } from '../live/place.ts';
import { timeline } from '../live/state.ts';
import { Choice, Empty, Search } from '../parts/bits.tsx';
import { dayOf, timeOf } from '../parts/words.ts';

type Which = 'all' | 'deploys' | 'health' | 'consul';

const kindsOf: Readonly<Record<Which, ReadonlySet<TimelineKind> | undefined>> = {
  all: undefined,
  deploys: new Set<TimelineKind>(['service', 'instance', 'definition', 'router']),
  health: new Set<TimelineKind>(['health', 'failover']),
  consul: new Set<TimelineKind>(['consul']),
};
const marks: Readonly<Record<TimelineEntry['tone'], string>> = { good: '●', bad: '■', plain: '○' };
const MAX_SHOWN = 300;

/** What happened, newest first, in plain words. */
export function Timeline() {
  const [which, setWhich] = useState<Which>('all');
  const [text, setText] = useState('');
  const kinds = kindsOf[which];
  const words = text.toLowerCase();
  const shown = timeline.value
    .filter((entry) => (!kinds || kinds.has(entry.kind)) && entry.text.toLowerCase().includes(words))
    .slice(0, MAX_SHOWN);
  const days = Object.entries(Object.groupBy(shown, ({ at }) => dayOf(at)));
  return (
    <>
      <h1>Timeline</h1>
      <div class="tools">
        <Search label="Find in the timeline" value={text} onChange={setText} />
        <Choice
          label="What happened"
          value={which}
          values={[
            ['all', 'All'],
            ['deploys', 'Deploys'],
            ['health', 'Health and failover'],
            ['consul', 'Consul'],
          ]}
          onChange={setWhich}
        />
      </div>
      {days.length === 0 && (
        <Empty title="Nothing like that happened">
          <p>Deploys, failovers, maintenance and losses of Consul are told here as they happen.</p>
        </Empty>
      )}
      {days.map(([day, entries = []]) => (
        <section key={day} aria-label={day}>
          <h2>{day}</h2>
          <ol class="story">
            {entries.map((entry) => (
              <li key={entry.n} class={entry.tone}>
                <time dateTime={new Date(entry.at).toISOString()}>{timeOf(entry.at)}</time>{' '}
                <span class="mark" aria-hidden="true">
                  {marks[entry.tone]}
                </span>{' '}
                {entry.text}{' '}
                {entry.service !== undefined && (
                  <a href={href('services', entry.service)} aria-label={`Open ${entry.service}`}>
                    open
                  </a>
                )}
              </li>
            ))}
          </ol>
        </section>
      ))}
    </>
  );
}
