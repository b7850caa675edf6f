/** Columns as data: what a cell sorts by and how it looks. */
import type { ReactNode } from 'react';

export interface Column<Row> {
  id: string;
  label: string;
  /** width as a grid track, such as `minmax(8rem, 2fr)` */
  width: string;
  /** for sorting; null: not sortable */
  getValue: ((row: Row) => string | number) | null;
  render: (row: Row) => ReactNode;
}

export interface SortOrder {
  columnId: string;
  direction: 'ascending' | 'descending';
}

const collator = new Intl.Collator('en', { numeric: true });

/** The rows in order; equal ones by `id`, so that nothing jumps when a list comes again. */
export function sortRows<Row extends { id: string }>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  order: SortOrder,
): Row[] {
  const getValue = columns.find(({ id }) => id === order.columnId)?.getValue ?? null;
  const sign = order.direction === 'ascending' ? 1 : -1;
  return rows.toSorted((a, b) => {
    const byId = collator.compare(a.id, b.id);
    if (getValue === null) return byId;
    const [left, right] = [getValue(a), getValue(b)];
    const difference =
      typeof left === 'number' && typeof right === 'number'
        ? left - right
        : collator.compare(String(left), String(right));
    return difference === 0 ? byId : sign * difference;
  });
}

/** The order after a click on the head of a column. */
export function nextOrder(order: SortOrder, columnId: string): SortOrder {
  const isSame = order.columnId === columnId && order.direction === 'ascending';
  return { columnId, direction: isSame ? 'descending' : 'ascending' };
}
