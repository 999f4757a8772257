/** Drawn on a grid of 24, in the colour of the text beside them. They say nothing that is not also said in words. */

const PATHS = {
  home: 'M4 11l8-7 8 7v8a1 1 0 0 1-1 1h-4v-6H9v6H5a1 1 0 0 1-1-1z',
  topics: 'M5 5h6M5 5v13h6M5 11h6M14 5h5M14 11h5M14 18h5',
  clients: 'M9 4v5M15 4v5M6 9h12v3a6 6 0 0 1-12 0zM12 18v3',
  bridges: 'M7 18a4 4 0 0 1-.6-7.9A6 6 0 0 1 18 9.5a4.3 4.3 0 0 1-.5 8.5zM12 21v-8M9 15.500l3-3 3 3',
  devices: 'M7 7h10v10H7zM10 3v4M14 3v4M10 17v4M14 17v4M3 10h4M3 14h4M17 10h4M17 14h4',
  health: 'M3 12h4l2.500-6 4 12L16 12h5',
  settings: 'M4 7h9M17 7h3M4 17h3M11 17h9M15 4.500v5M9 14.500v5',
  more: 'M4 12h2M11 12h2M18 12h2',
  ok: 'M5 12.500l4.500 4.500L19 7.500',
  warn: 'M12 4l9 16H3zM12 10v4M12 17h.01',
  fail: 'M6 6l12 12M18 6L6 18',
  wait: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7v5l3 2',
  pause: 'M8 5v14M16 5v14',
  play: 'M7 5l12 7-12 7z',
  copy: 'M9 9h10v11H9zM15 9V4H5v11h4',
  search: 'M10.500 4a6.500 6.500 0 1 0 0 13 6.500 6.500 0 0 0 0-13zM15.500 15.500L20 20',
  open: 'M9 6l6 6-6 6',
  back: 'M15 6l-6 6 6 6',
  close: 'M6 6l12 12M18 6L6 18',
  bin: 'M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13',
  send: 'M4 12l16-8-6 16-3-7z',
  again: 'M19 12a7 7 0 1 1-2-5l3 3M20 5v5h-5',
  down: 'M12 4v11M7 11l5 5 5-5M5 20h14',
  up: 'M12 16V5M7 9l5-5 5 5M5 20h14',
  look: 'M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16',
  leave: 'M14 4h5v16h-5M4 12h11M11 8l4 4-4 4',
  kept: 'M7 4h10v16l-5-4-5 4z',
  chart: 'M4 4v16h16M8 15l3-4 3 2 5-6',
} as const

export type IconName = keyof typeof PATHS

export function Icon(props: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[props.name]} />
    </svg>
  )
}

/** The jar. */
export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 64 64" aria-hidden="true" focusable="false">
      <rect class="mark-lid" x="17" y="6" width="30" height="9" rx="3" />
      <path class="mark-jar" d="M20 18h24v3c6 2 9 6 9 12v17a8 8 0 0 1-8 8H19a8 8 0 0 1-8-8V33c0-6 3-10 9-12z" />
      <path class="mark-pulse" d="M17 40h8l4-10 6 17 4-7h8" />
    </svg>
  )
}
