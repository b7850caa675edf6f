/** Light, dark, or as the system has it. */
import { ActionIcon, useMantineColorScheme, type MantineColorScheme } from '@mantine/core';

const NEXT: Readonly<Record<MantineColorScheme, MantineColorScheme>> = { auto: 'light', light: 'dark', dark: 'auto' };
const WORD: Readonly<Record<MantineColorScheme, string>> = { auto: 'system', light: 'light', dark: 'dark' };
const MARK: Readonly<Record<MantineColorScheme, string>> = { auto: '◐', light: '☀', dark: '☾' };

export function SchemeSwitch() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const next = NEXT[colorScheme];
  const label = `Colours: ${WORD[colorScheme]}. Change to ${WORD[next]}`;
  return (
    <ActionIcon variant="default" size="lg" aria-label={label} title={label} onClick={() => setColorScheme(next)}>
      <span aria-hidden="true">{MARK[colorScheme]}</span>
    </ActionIcon>
  );
}
