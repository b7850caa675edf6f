import 'react';

declare module 'react' {
  interface CSSProperties {
    /** tracks of the grid of a DataTable */
    '--data-columns'?: string;
    /** depth of a row of a tree */
    '--tree-level'?: number;
  }
}
