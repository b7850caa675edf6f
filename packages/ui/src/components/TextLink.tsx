/** A link to another page that looks as links do here. */
import { Anchor } from '@mantine/core';
import { createLink } from '@tanstack/react-router';

export const TextLink = createLink(Anchor<'a'>);
