import { useMemo, useState } from 'preact/hooks';
import type { CatalogEntry, ItemKindName } from '../../shapes.ts';
import {
  catalogRead,
  catalogTrouble,
  entries,
  followCatalog,
  searchEntries,
  type FoundEntry,
} from '../live/catalog.ts';
import { href, place } from '../live/place.ts';
import { Choice, Empty, Search } from '../parts/bits.tsx';
import { VirtualTable, type Column } from '../parts/virtual-table.tsx';
import { CatalogItem } from './catalog-item.tsx';

const kinds = [
  ['tools', 'Tools'],
  ['prompts', 'Prompts'],
  ['resources', 'Resources'],
  ['resourceTemplates', 'Templates'],
] as const;

const hintWords: Readonly<Record<NonNullable<CatalogEntry['hints']>[number], string>> = {
  reads: 'only reads',
  destroys: 'may destroy',
  repeatable: 'repeatable',
  app: 'app',
};

const columns: readonly Column<FoundEntry>[] = [
  { title: 'Name', cell: ({ name }) => name },
  { title: 'Service', cell: ({ service }) => service },
  { title: 'What it says of itself', cell: ({ title, about }) => about ?? title ?? '—' },
  { title: 'Hints', cell: ({ hints = [] }) => hints.map((hint) => hintWords[hint]).join(', ') },
];

export function Catalog() {
  const [, kind, name] = place.value.parts;
  followCatalog();
  const known = kinds.find(([one]) => one === kind)?.[0];
  return known !== undefined && name !== undefined ? <CatalogItem kind={known} name={name} /> : <List />;
}

function List() {
  const [kind, setKind] = useState<ItemKindName>('tools');
  const [text, setText] = useState('');
  const all = entries.value;
  const found = useMemo(
    () =>
      searchEntries(
        all.filter((entry) => entry.kind === kind),
        text,
      ),
    [all, kind, text],
  );
  return (
    <>
      <h1>Catalog</h1>
      <div class="tools">
        <Search label="Search names and descriptions" value={text} onChange={setText} />
        <Choice
          label="What kind"
          value={kind}
          values={kinds.map(([one, title]) => [
            one,
            `${title} ${all.filter((entry) => entry.kind === one).length}`,
          ])}
          onChange={setKind}
        />
      </div>
      {found.length > 0 ? (
        <VirtualTable
          label="Catalog"
          layout="catalog-grid"
          rows={found}
          columns={columns}
          keyOf={({ name, service }) => `${service} ${name}`}
          hrefOf={(entry) => href('catalog', entry.kind, entry.canonical)}
        />
      ) : (
        <NothingFound searched={text !== ''} />
      )}
    </>
  );
}

function NothingFound({ searched }: { readonly searched: boolean }) {
  if (catalogTrouble.value !== undefined) {
    return (
      <Empty title="The catalog cannot be read">
        <p>{catalogTrouble.value}</p>
      </Empty>
    );
  }
  if (!catalogRead.value) return <p role="status">Reading the catalog …</p>;
  return searched ? (
    <Empty title="Nothing has all these words">
      <p>Names, titles, services and the beginning of descriptions are searched.</p>
    </Empty>
  ) : (
    <Empty title="Nothing of this kind is offered">
      <p>
        What servers offer appears here as soon as one of their instances has answered. See{' '}
        <a href={href('services')}>services</a> for what is wrong.
      </p>
    </Empty>
  );
}
