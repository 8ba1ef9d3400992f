import {
  elementScroll,
  observeElementOffset,
  observeElementRect,
  Virtualizer,
  type VirtualizerOptions,
} from '@tanstack/virtual-core';
import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useReducer, useRef, useState } from 'preact/hooks';

export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => ComponentChildren;
  /** Numbers stand at the right. */
  readonly number?: true;
}

interface TableProps<Row> {
  readonly label: string;
  readonly rows: readonly Row[];
  readonly columns: readonly Column<Row>[];
  /** Widths of the columns: a class with `grid-template-columns`. */
  readonly layout: string;
  readonly keyOf: (row: Row) => string | number;
  /** Where a row leads to. */
  readonly hrefOf: (row: Row) => string;
  readonly current?: string | number | undefined;
}

const ROW_PX = 40;
const steps: Readonly<Record<string, number>> = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 };

/**
 * A table of which only the rows in sight exist, so ten thousand cost as much as thirty. One row can be reached by
 * Tab; the arrow keys, Page, Home and End go on from there, Enter opens.
 */
export function VirtualTable<Row>({ label, rows, columns, layout, keyOf, hrefOf, current }: TableProps<Row>) {
  const scroller = useRef<HTMLDivElement>(null);
  const virtualizer = useVirtualizer(scroller, rows.length);
  const [active, setActive] = useState(0);
  const wanted = useRef<number>(undefined);
  const at = Math.min(active, rows.length - 1);

  useEffect(() => {
    if (wanted.current === undefined) return;
    const link = scroller.current?.querySelector<HTMLElement>(`[data-row="${wanted.current}"]`);
    if (!link) return;
    wanted.current = undefined;
    link.focus({ preventScroll: true });
  });

  const onKeyDown = (event: KeyboardEvent): void => {
    const step = steps[event.key];
    const edge = event.key === 'Home' ? 0 : event.key === 'End' ? rows.length - 1 : undefined;
    if (step === undefined && edge === undefined) return;
    event.preventDefault();
    const next = edge ?? Math.max(0, Math.min(rows.length - 1, at + (step ?? 0)));
    wanted.current = next;
    virtualizer.scrollToIndex(next);
    setActive(next);
  };

  return (
    <div class="table" role="table" aria-label={label} aria-rowcount={rows.length + 1}>
      <div role="rowgroup">
        <div class={`row head ${layout}`} role="row" aria-rowindex={1}>
          {columns.map(({ title, number }) => (
            <span role="columnheader" key={title} class={number && 'number'}>
              {title}
            </span>
          ))}
        </div>
      </div>
      <div class="scroller" role="rowgroup" ref={scroller} onKeyDown={onKeyDown}>
        <div class="sizer" role="presentation" style={{ height: `${virtualizer.getTotalSize()}px` }}>
          {virtualizer.getVirtualItems().map(({ index, start }) => {
            const row = rows[index];
            if (row === undefined) return null;
            const key = keyOf(row);
            return (
              <div
                key={key}
                role="row"
                aria-rowindex={index + 2}
                class={`row ${layout}${key === current ? ' current' : ''}`}
                style={{ transform: `translateY(${start}px)` }}
              >
                {columns.map(({ title, cell, number }, nth) => (
                  <span role="cell" key={title} class={number && 'number'}>
                    {nth === 0 ? (
                      <a
                        href={hrefOf(row)}
                        data-row={index}
                        tabIndex={index === at ? 0 : -1}
                        aria-current={key === current ? 'true' : undefined}
                        onFocus={() => setActive(index)}
                      >
                        {cell(row)}
                      </a>
                    ) : (
                      cell(row)
                    )}
                  </span>
                ))}
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}

function useVirtualizer(scroller: { current: HTMLDivElement | null }, count: number) {
  const [, redraw] = useReducer((times: number) => times + 1, 0);
  const options: VirtualizerOptions<HTMLDivElement, HTMLDivElement> = {
    count,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PX,
    overscan: 8,
    scrollToFn: elementScroll,
    observeElementRect,
    observeElementOffset,
    onChange: () => redraw(undefined),
  };
  const [virtualizer] = useState(() => new Virtualizer(options));
  virtualizer.setOptions(options);
  useLayoutEffect(() => virtualizer._didMount(), [virtualizer]);
  useLayoutEffect(() => virtualizer._willUpdate());
  return virtualizer;
}
