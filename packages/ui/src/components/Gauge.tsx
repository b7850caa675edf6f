/** How much of a whole is taken: words and a bar. */
import { Progress, Text } from '@mantine/core';
import { percent, sizeText } from '../text/size-text.ts';

interface GaugeProps {
  /** what is measured, for those who do not see the bar */
  label: string;
  /** such as `used`; '' where the head of the column says it */
  word: string;
  usedBytes: number;
  wholeBytes: number;
}

const WARN_PERCENT = 80;
const FULL_PERCENT = 95;

export function Gauge({ label, word, usedBytes, wholeBytes }: GaugeProps) {
  const value = percent(usedBytes, wholeBytes);
  const color = value >= FULL_PERCENT ? 'red' : value >= WARN_PERCENT ? 'yellow' : 'teal';
  return (
    <div className="gauge">
      <Text size="sm" component="span">
        {sizeText(usedBytes)} of {sizeText(wholeBytes)} {word}
      </Text>
      <Progress.Root size="sm">
        <Progress.Section value={value} color={color} aria-label={label} />
      </Progress.Root>
    </div>
  );
}
