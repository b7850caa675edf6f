/** Which address shows which page. The part behind the `#` is the address, so that the page works below any path. */
import {
  createHashHistory,
  createRootRoute,
  createRoute,
  createRouter,
  redirect,
  type ErrorComponentProps,
} from '@tanstack/react-router';
import { ErrorNotice } from './components/ErrorNotice.tsx';
import { Frame } from './components/Frame.tsx';
import { TextLink } from './components/TextLink.tsx';
import { NodeList } from './features/nodes/NodeList.tsx';
import { VolumeAnnouncements } from './features/volumes/VolumeAnnouncements.tsx';
import { VolumeDetail } from './features/volumes/VolumeDetail.tsx';
import { VolumeDialogs } from './features/volumes/VolumeDialogs.tsx';
import { VolumeList } from './features/volumes/VolumeList.tsx';

function Root() {
  return (
    <VolumeDialogs>
      <VolumeAnnouncements />
      <Frame />
    </VolumeDialogs>
  );
}

function Failure({ error }: ErrorComponentProps) {
  return <ErrorNotice title="This page failed. Load it again; if it stays so, report this:" error={error} />;
}

function NotFound() {
  return (
    <p>
      There is no such page. Go to the <TextLink to="/volumes">volumes</TextLink>.
    </p>
  );
}

const rootRoute = createRootRoute({ component: Root, notFoundComponent: NotFound, errorComponent: Failure });

const indexRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/',
  beforeLoad: () => {
    throw redirect({ to: '/volumes' });
  },
});

const volumesRoute = createRoute({ getParentRoute: () => rootRoute, path: '/volumes', component: VolumeList });

const volumeRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/volumes/$name',
  component: function VolumePage() {
    const { name } = volumeRoute.useParams();
    return <VolumeDetail name={name} key={name} />;
  },
});

const nodesRoute = createRoute({ getParentRoute: () => rootRoute, path: '/nodes', component: NodeList });

export const router = createRouter({
  routeTree: rootRoute.addChildren([indexRoute, volumesRoute, volumeRoute, nodesRoute]),
  history: createHashHistory(),
  defaultErrorComponent: Failure,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
