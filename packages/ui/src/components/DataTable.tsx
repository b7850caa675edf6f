/**
 * A list of any length: only the rows in sight exist. Wide screens get a table, narrow ones a card per row with the labels in
 * it; both are a table for screen readers.
 */
import { NativeSelect } from '@mantine/core';
import { useWindowVirtualizer } from '@tanstack/react-virtual';
import { useLayoutEffect, useMemo, useRef, useState } from 'react';
import { nextOrder, sortRows, type Column, type SortOrder } from './column.ts';
import './DataTable.css';

interface DataTableProps<Row> {
  label: string;
  rows: readonly Row[];
  columns: readonly Column<Row>[];
  initialOrder: SortOrder;
}

const ROW_HEIGHT_PX = 56;
const ROWS_AHEAD = 8;

function Cells<Row>({ row, columns }: { row: Row; columns: readonly Column<Row>[] }) {
  return columns.map((column) => (
    <div role="cell" key={column.id} className="data-cell" data-column={column.id}>
      <span className="data-cell-label">{column.label}</span>
      <div className="data-cell-content">{column.render(row)}</div>
    </div>
  ));
}

function Head<Row>({
  columns,
  order,
  onOrder,
}: {
  columns: readonly Column<Row>[];
  order: SortOrder;
  onOrder: (order: SortOrder) => void;
}) {
  return (
    <div role="rowgroup" className="data-head">
      <div role="row" aria-rowindex={1} className="data-row">
        {columns.map(({ id, label, getValue }) => {
          const isSorted = order.columnId === id;
          return (
            <div key={id} role="columnheader" aria-sort={isSorted ? order.direction : 'none'} className="data-cell">
              {getValue === null ? (
                label
              ) : (
                <button type="button" className="data-sort" onClick={() => onOrder(nextOrder(order, id))}>
                  {label}
                  <span aria-hidden="true">{isSorted ? (order.direction === 'ascending' ? ' ↑' : ' ↓') : ''}</span>
                </button>
              )}
            </div>
          );
        })}
      </div>
    </div>
  );
}

export function DataTable<Row extends { id: string }>({ label, rows, columns, initialOrder }: DataTableProps<Row>) {
  const [order, setOrder] = useState(initialOrder);
  const sorted = useMemo(() => sortRows(rows, columns, order), [rows, columns, order]);
  const body = useRef<HTMLDivElement>(null);
  const [scrollMargin, setScrollMargin] = useState(0);
  useLayoutEffect(() => {
    const top = body.current?.getBoundingClientRect().top ?? 0;
    setScrollMargin(Math.round(top + window.scrollY));
  }, [rows.length]);
  // oxlint-disable-next-line react/incompatible-library -- its functions are used in this component only
  const virtualizer = useWindowVirtualizer({
    count: sorted.length,
    estimateSize: () => ROW_HEIGHT_PX,
    overscan: ROWS_AHEAD,
    scrollMargin,
    getItemKey: (index) => sorted[index]?.id ?? index,
  });
  const sortable = columns.filter(({ getValue }) => getValue !== null);
  return (
    <div className="data-table" style={{ '--data-columns': columns.map(({ width }) => width).join(' ') }}>
      <NativeSelect
        className="data-narrow-sort"
        label="Sort by"
        size="xs"
        value={order.columnId}
        data={sortable.map(({ id, label: text }) => ({ value: id, label: text }))}
        onChange={(event) => setOrder({ columnId: event.currentTarget.value, direction: 'ascending' })}
      />
      <div role="table" aria-label={label} aria-rowcount={sorted.length + 1}>
        <Head columns={columns} order={order} onOrder={setOrder} />
        <div role="rowgroup" ref={body} className="data-body" style={{ height: virtualizer.getTotalSize() }}>
          {virtualizer.getVirtualItems().map((item) => {
            const row = sorted[item.index];
            if (row === undefined) return null;
            return (
              <div
                role="row"
                aria-rowindex={item.index + 2}
                key={item.key}
                data-index={item.index}
                data-row={row.id}
                ref={virtualizer.measureElement}
                className="data-row"
                style={{ transform: `translateY(${item.start - scrollMargin}px)` }}
              >
                <Cells row={row} columns={columns} />
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}
