/**
 * The page in a real browser, against a manager in small. With UI_SCREENSHOTS=FOLDER it leaves pictures of every page at 1280
 * and 390 pixels, light and dark.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { build } from 'vite';
import { createPageServer } from '../src/server/page-server.ts';
import { readSettings } from '../src/server/settings.ts';
import { chromiumPath, startBrowser, type TestBrowser } from './browser.ts';
import { FakeManager } from './fake-manager.ts';
import { fakeVolume } from './fake-resources.ts';

const executable = chromiumPath();
if (executable === null)
  console.log('No Chromium is installed (apt install chromium): the page is not tested in a browser');
const screenshots = process.env['UI_SCREENSHOTS'] ?? null;
const ROWS = 1000;

const manager = new FakeManager();
let web = '';
let server: FastifyInstance;
let address = '';
let browser: TestBrowser;
let page: Page;
/** what the page wrote to the console as an error */
const complaints: string[] = [];

async function shoot(name: string): Promise<void> {
  if (screenshots === null) return;
  const before = page.viewportSize();
  for (const width of [1280, 390]) {
    await page.setViewportSize({ width, height: 800 });
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      await page.screenshot({
        path: join(screenshots, `${name}-${width}-${colorScheme}.png`),
        fullPage: name !== 'many',
      });
    }
  }
  await page.emulateMedia({ colorScheme: 'light' });
  if (before !== null) await page.setViewportSize(before);
}

const row = (name: string) => page.locator(`[data-row="${name}"]`);
const snapshotRow = (name: string) => page.locator(`[data-snapshot="${name}"]`);
const dialog = () => page.getByRole('dialog');

async function chooseAction(name: string, action: RegExp): Promise<void> {
  await page.getByRole('button', { name: `Actions on ${name}` }).click();
  await page.getByRole('menuitem', { name: action }).click();
}

/** Whether anything sticks out at the right. */
const overflowPx = (): Promise<number> => page.evaluate('document.scrollingElement.scrollWidth - window.innerWidth');

describe.skipIf(executable === null)('the page', { timeout: 60_000 }, () => {
  beforeAll(async () => {
    web = mkdtempSync(join(tmpdir(), 'ui-web-'));
    await build({
      configFile: join(import.meta.dirname, '../vite.config.ts'),
      logLevel: 'error',
      build: { outDir: web, emptyOutDir: true },
    });
    const settings = readSettings({
      LONGHORN_MANAGER_IP: await manager.start(),
      LONGHORN_UI_PORT: '0',
      HOST: '127.0.0.1',
    });
    server = await createPageServer(settings, web);
    address = await server.listen({ host: settings.listenHost, port: settings.listenPort });
    browser = await startBrowser(executable ?? '');
    page = await browser.context.newPage();
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
    await page.setViewportSize({ width: 1280, height: 800 });
  }, 120_000);

  afterAll(async () => {
    await browser.close();
    await server.close();
    await manager.stop();
    rmSync(web, { recursive: true, force: true });
  });

  it('shows why a list cannot be read, and reads it when asked to', async () => {
    manager.fail('the webhook of the manager does not answer');
    await page.clock.install();
    await page.goto(address);
    await page.getByText('Reading the volumes …').waitFor();
    const notice = page.getByRole('alert');
    await notice.waitFor();
    expect(await notice.textContent()).toContain('the webhook of the manager does not answer');
    await shoot('unreadable');
    // The page also tries by itself now and then: not while its time stands still.
    await page.clock.pauseAt((await page.evaluate(() => Date.now())) + 1000);
    manager.fail(null);
    const asked = page.waitForRequest('**/v1/volumes*');
    await notice.getByRole('button', { name: 'Try again' }).click();
    await asked;
    await page.clock.resume();
    await notice.waitFor({ state: 'detached' });
  });

  it('says that there are no volumes yet', async () => {
    await page.getByText('There are no volumes yet').waitFor();
    expect(await page.title()).toBe('Volumes · Longhorn');
    await shoot('empty');
  });

  it.each([
    ['name', 'Bad_Name', '2Gi', /invalid name Bad_Name: metadata\.name must be lower case/],
    ['size', 'data', '2 apples', /size must be a whole number of bytes/],
  ])('shows what the API says about the %s at that field', async (field, name, size, words) => {
    await page.getByRole('button', { name: 'Create volume' }).click();
    await dialog().getByLabel('Name').fill(name);
    await dialog().getByLabel('Size').fill(size);
    await dialog().getByRole('button', { name: 'Create' }).click();
    const input = dialog().locator(`#create-${field}`);
    await page.getByText(words).waitFor();
    expect(await input.getAttribute('aria-invalid')).toBe('true');
    const description = await input.getAttribute('aria-describedby');
    expect(description).toContain('error');
    if (field === 'name') await shoot('create-refused');
    await page.keyboard.press('Escape');
    await dialog().waitFor({ state: 'detached' });
  });

  it('creates a volume by keyboard alone', async () => {
    await page.getByRole('button', { name: 'Create volume' }).focus();
    await page.keyboard.press('Enter');
    await page.locator('#create-name:focus').waitFor();
    await page.keyboard.type('data');
    await page.keyboard.press('Enter');
    await row('data').getByText('Detached').waitFor();
    await row('data').getByText('2 GiB').waitFor();
    expect([...manager.volumes.keys()]).toEqual(['data']);
  });

  it('attaches it to a node', async () => {
    await chooseAction('data', /^Attach/);
    await dialog().getByLabel('Node').selectOption('node-b');
    await shoot('attach');
    await dialog().getByRole('button', { name: 'Attach' }).click();
    await row('data').getByText('Healthy', { exact: true }).first().waitFor();
    await row('data').getByText('3 of 3 healthy').waitFor();
    await page.getByRole('button', { name: 'Actions on data' }).click();
    expect(await page.getByRole('menuitem', { name: /^Attach/ }).textContent()).toContain('only a detached one');
    await shoot('menu');
    await page.keyboard.press('Escape');
    expect(manager.volumes.get('data')?.ticket).toBe('longhorn-ui');
    expect(await row('data').textContent()).toContain('node-b');
  });

  it('shows live that it is degraded, why, and what happens next', async () => {
    const before = manager.requests.length;
    manager.change('data', (volume) => {
      volume.failedReplicas['data-r-3'] = 'its process on node node-c ended';
    });
    await row('data').getByText('Degraded').waitFor();
    await row('data').getByText('its process on node node-c ended').waitFor();
    await row('data').getByText('Next: rebuilt as soon as its node is back').waitFor();
    expect(await page.getByRole('log', { name: 'Changes' }).textContent()).toContain('Volume data: Degraded');
    expect(manager.requests.slice(before)).toEqual([]);
    manager.change('data', (volume) => {
      volume.rebuildProgress['data-r-3'] = 42;
    });
    await row('data').getByText('Rebuilding 42 %').waitFor();
    await shoot('degraded');
  });

  it('keeps the list and says so when the connection is lost, and comes back', async () => {
    manager.fail('etcdserver: leader changed');
    await page.getByText('Connection lost.').waitFor();
    await row('data').getByText('Degraded').waitFor();
    await shoot('lost');
    manager.fail(null);
    await page.getByText('Connection lost.').waitFor({ state: 'detached' });
    manager.change('data', (volume) => {
      volume.failedReplicas = {};
      volume.rebuildProgress = {};
    });
    await row('data').getByText('3 of 3 healthy').waitFor();
    expect(await row('data').textContent()).not.toContain('Degraded');
  });

  it('takes snapshots and deletes one', async () => {
    await page.getByRole('link', { name: 'data' }).click();
    await page.getByRole('heading', { name: 'data', level: 1 }).waitFor();
    expect(await page.evaluate('document.activeElement.tagName')).toBe('H1');
    await page.getByText('No snapshots yet').waitFor();
    await page.getByRole('button', { name: 'Take snapshot' }).click();
    await snapshotRow('snap-1').waitFor();
    await page.getByRole('button', { name: 'Take snapshot' }).click();
    await snapshotRow('snap-2').waitFor();
    await shoot('detail');
    await page.getByRole('button', { name: 'Delete snap-1' }).click();
    await dialog().getByRole('button', { name: 'Delete snapshot' }).click();
    await snapshotRow('snap-1').waitFor({ state: 'detached' });
    expect(manager.snapshot('data', 'snap-1')).toBeUndefined();
    expect(manager.snapshot('data', 'snap-2')?.parent).toBe('');
  });

  it('reverts in maintenance mode only, and says why otherwise', async () => {
    const revert = page.getByRole('button', { name: 'Revert to snap-2' });
    expect(await revert.isDisabled()).toBe(true);
    await page.getByText('Only in maintenance mode').waitFor();
    await page.getByRole('button', { name: 'Detach …' }).click();
    await dialog().getByRole('button', { name: 'Detach' }).click();
    await page.getByRole('button', { name: 'Attach …' }).click();
    await dialog().getByLabel('Maintenance mode').check();
    await dialog().getByRole('button', { name: 'Attach' }).click();
    await page.getByText('Maintenance: without a device').waitFor();
    await revert.click();
    await dialog().getByRole('button', { name: 'Revert' }).click();
    await dialog().waitFor({ state: 'detached' });
    expect(manager.requests.some((request) => request.endsWith('?action=snapshotRevert'))).toBe(true);
  });

  it('shows a failure of the server in full', async () => {
    const sentence =
      'unable to attach volume data to node-a: node node-a is not ready, couldn’t attach volume data to it';
    manager.fail(sentence);
    await page.getByRole('button', { name: 'Take snapshot' }).click();
    await page.getByRole('alert').filter({ hasText: sentence }).first().waitFor();
    expect(await page.getByRole('alert').allTextContents()).toContain(`No snapshot was taken${sentence}`);
    manager.fail(null);
  });

  it('deletes a volume when its name was typed', async () => {
    await page.getByRole('link', { name: 'Volumes', exact: true }).click();
    await chooseAction('data', /^Delete/);
    const button = dialog().getByRole('button', { name: 'Delete' });
    expect(await button.isDisabled()).toBe(true);
    await dialog().getByRole('textbox').fill('dat');
    expect(await button.isDisabled()).toBe(true);
    await shoot('delete');
    await dialog().getByRole('textbox').fill('data');
    await button.click();
    await page.getByText('There are no volumes yet').waitFor();
    expect(manager.volumes.size).toBe(0);
  });

  it('shows nodes with their disks, live', async () => {
    await page.getByRole('link', { name: 'Nodes' }).click();
    await row('node-c').getByText('Schedulable').first().waitFor();
    const node = manager.nodes[2];
    if (node === undefined) throw new Error('the fake has three nodes');
    node.conditions.Ready.status = 'False';
    node.conditions.Ready.message = 'Kubernetes node node-c is not ready: NodeStatusUnknown';
    manager.push();
    await row('node-c').getByText('Down').waitFor();
    expect(await row('node-c').textContent()).toContain('NodeStatusUnknown');
    await shoot('nodes');
  });

  it('draws only what is in sight of a thousand volumes', async () => {
    for (let index = 0; index < ROWS; index += 1) {
      const volume = fakeVolume(`pvc-${index}`, 2 ** 30 * (1 + (index % 7)), 3);
      if (index % 3 > 0) volume.attach(`node-${'abc'[index % 3]}`, false, 'csi');
      if (index % 50 === 1) volume.failedReplicas[`pvc-${index}-r-2`] = 'the disk is full';
      manager.volumes.set(volume.name, volume);
    }
    manager.push();
    await page.getByRole('link', { name: 'Volumes', exact: true }).click();
    await page.getByText('1000 volumes').waitFor();
    expect(await page.locator('[data-row]').count()).toBeLessThan(60);
    expect(await page.getByRole('table').getAttribute('aria-rowcount')).toBe('1001');
    await shoot('many');
    await page.getByRole('searchbox').fill('pvc-777');
    await page.getByText('1 of 1000 volumes').waitFor();
    await page.getByRole('searchbox').fill('');
    await page.getByRole('button', { name: 'State' }).click();
    await page.locator('[data-index="0"]').getByText('Degraded').waitFor();
    await page.evaluate('window.scrollTo(0, document.scrollingElement.scrollHeight)');
    await page.locator(`[data-index="${ROWS - 1}"]`).waitFor();
  });

  it('fits 390 pixels, in the colours that are chosen', async () => {
    await page.setViewportSize({ width: 390, height: 800 });
    expect(await overflowPx()).toBeLessThanOrEqual(0);
    await page.getByRole('button', { name: /Colours: system/ }).click();
    await page.getByRole('button', { name: /Colours: light/ }).click();
    expect(await page.locator('html').getAttribute('data-mantine-color-scheme')).toBe('dark');
    await page.getByRole('link', { name: 'Nodes' }).click();
    expect(await overflowPx()).toBeLessThanOrEqual(0);
  });

  it('has not complained but of the failures that were made', () => {
    const made = /Failed to load resource|WebSocket connection to .* failed/;
    expect(complaints.filter((text) => !made.test(text))).toEqual([]);
  });
});
