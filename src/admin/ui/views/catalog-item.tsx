import type { ItemBody, ItemKindName } from '../../shapes.ts';
import { href } from '../live/place.ts';
import { services } from '../live/state.ts';
import { TryTool } from '../form/try-tool.tsx';
import { Empty, Fact, Snippet } from '../parts/bits.tsx';
import { useAnswer } from '../parts/use-answer.ts';

interface ItemProps {
  readonly kind: ItemKindName;
  readonly name: string;
}

/** One thing of the catalog, as clients see it; a tool can be tried out. */
export function CatalogItem({ kind, name }: ItemProps) {
  const path = `catalog/item?kind=${kind}&name=${encodeURIComponent(name)}`;
  const { body, trouble } = useAnswer<ItemBody>(path, services.value);
  const description = body?.definition['description'];
  return (
    <>
      <p class="crumbs">
        <a href={href('catalog')}>Catalog</a>
        {body && (
          <>
            {' / '}
            <a href={href('services', body.service)}>{body.service}</a>
          </>
        )}
      </p>
      <h1>{body?.name ?? name}</h1>
      {trouble !== undefined && (
        <Empty title="Not there">
          <p>{trouble}</p>
        </Empty>
      )}
      {body && (
        <>
          {typeof description === 'string' && <p class="description">{description}</p>}
          <dl class="facts">
            <Fact name="Canonical name">{body.canonical}</Fact>
            <Fact name="Its server calls it">{body.original}</Fact>
          </dl>
          {kind === 'tools' && <TryTool key={body.name} tool={body} />}
          <section aria-labelledby="definition">
            <h2 id="definition">Definition, as clients see it</h2>
            <Snippet label="Definition" text={JSON.stringify(body.definition, null, 2)} />
          </section>
        </>
      )}
    </>
  );
}
