/**
 * `node sqlite-writer.ts DATABASE JOURNAL`: commits rows one after the other (WAL, synchronous=FULL) and notes each
 * committed row, with the time that it took, in a journal outside the volume. Ends on SIGTERM; any error ends it with 1.
 */
import { appendFileSync, readFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';

/** What the journal says: committed rows and the longest commit, in milliseconds. */
export interface WriterJournal {
  committed: number[];
  longestMs: number;
}

export function readJournal(path: string, fromLine = 0): WriterJournal {
  const lines = readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .slice(fromLine)
    .map((line) => line.split(' ').map(Number));
  return {
    committed: lines.map(([row]) => row ?? -1),
    longestMs: Math.max(0, ...lines.map(([, ms]) => ms ?? 0)),
  };
}

/** Rows of the database that are wrong or missing, of those that the journal names. */
export function missingRows(databasePath: string, committed: number[]): number[] {
  const database = new DatabaseSync(databasePath);
  try {
    const rows = new Map(
      database
        .prepare('SELECT id, content FROM entries')
        .all()
        .map((row) => [Number(row['id']), String(row['content'])]),
    );
    return committed.filter((id) => rows.get(id) !== rowContent(id));
  } finally {
    database.close();
  }
}

function rowContent(id: number): string {
  return `row ${id} `.repeat(20);
}

/** One turn of the loop at a time, so that SIGTERM is heard between two commits. */
function run(databasePath: string, journalPath: string): void {
  const database = new DatabaseSync(databasePath);
  database.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;');
  database.exec('CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY, content TEXT NOT NULL)');
  const insert = database.prepare('INSERT INTO entries (id, content) VALUES (?, ?)');
  let id = Number(database.prepare('SELECT coalesce(max(id), 0) AS last FROM entries').get()?.['last'] ?? 0);
  let stopping = false;
  process.on('SIGTERM', () => {
    stopping = true;
  });
  const step = (): void => {
    if (stopping) {
      database.close();
      process.exit(0);
    }
    id++;
    const start = performance.now();
    insert.run(id, rowContent(id));
    appendFileSync(journalPath, `${id} ${(performance.now() - start).toFixed(1)}\n`);
    setImmediate(step);
  };
  step();
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [, , databasePath, journalPath] = process.argv;
  if (databasePath === undefined || journalPath === undefined) throw new Error('usage: sqlite-writer DATABASE JOURNAL');
  run(databasePath, journalPath);
}
