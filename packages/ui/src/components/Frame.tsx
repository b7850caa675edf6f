/** What every page has: the head with the ways to go, the state of the connection, and the announcements. */
import { Link, Outlet, useRouter } from '@tanstack/react-router';
import { useEffect } from 'react';
import type { StreamName } from '../data/keys.ts';
import { useStreams } from '../data/list-and-watch.ts';
import { Announcer } from './Announcer.tsx';
import { ConnectionLine } from './ConnectionLine.tsx';
import { SchemeSwitch } from './SchemeSwitch.tsx';
import './Frame.css';

const STREAMS: readonly StreamName[] = ['volumes', 'nodes'];

/** After a change of the page the focus goes to its heading, as with a loaded page. */
function useFocusOnNavigation(): void {
  const router = useRouter();
  useEffect(
    () =>
      router.subscribe('onRendered', ({ pathChanged, fromLocation }) => {
        if (pathChanged && fromLocation !== undefined) document.querySelector<HTMLElement>('main h1')?.focus();
      }),
    [router],
  );
}

export function Frame() {
  useStreams(STREAMS);
  useFocusOnNavigation();
  return (
    <>
      <a
        className="skip-link"
        href="#content"
        onClick={(event) => {
          event.preventDefault();
          document.getElementById('content')?.focus();
        }}
      >
        Skip to content
      </a>
      <header className="frame-head">
        <span className="frame-brand">Longhorn</span>
        <nav aria-label="Pages" className="frame-nav">
          <Link to="/volumes">Volumes</Link>
          <Link to="/nodes">Nodes</Link>
        </nav>
        <SchemeSwitch />
      </header>
      <ConnectionLine />
      <main id="content" tabIndex={-1} className="frame-main">
        <Outlet />
      </main>
      <Announcer />
    </>
  );
}
