/**
 * Looks at a page as somebody with a keyboard, a screen reader, weak eyes or a small phone would: names as the browser's
 * own accessibility tree has them, contrast of all text against what it stands on, sizes of what is to be touched, and
 * whether the page is wider than its window. Gives what is wrong, as sentences.
 */
import type { Page } from 'playwright-core'

/** WCAG 2.2 AA: of text, of large text (and of controls). */
const TEXT = 4.5
const LARGE = 3
/** px */
const FINGER = 44

export async function audit(page: Page): Promise<string[]> {
  return [...(await nameless(page)), ...(await faint(page)), ...(await small(page)), ...(await wide(page))]
}

/** What can be focused or pressed and has no name. */
async function nameless(page: Page): Promise<string[]> {
  const session = await page.context().newCDPSession(page)
  try {
    const { nodes } = (await session.send('Accessibility.getFullAXTree')) as {
      nodes: {
        ignored: boolean
        role?: { value: string }
        name?: { value: string }
        properties?: { name: string; value: { value: unknown } }[]
      }[]
    }
    return nodes
      .filter(node => !node.ignored && node.role?.value !== 'RootWebArea' && node.role?.value !== 'main')
      .filter(node => node.properties?.some(({ name, value }) => name === 'focusable' && value.value === true))
      .filter(node => (node.name?.value ?? '').trim() === '' && !TEXT_BOXES.has(node.role?.value ?? ''))
      .map(node => `a ${node.role?.value} has no name`)
  } finally {
    await session.detach()
  }
}

/** Blocks that scroll, whose text is their name. */
const TEXT_BOXES = new Set(['generic', 'Pre', 'pre', 'paragraph', 'StaticText'])

/** Text that stands out too little. What is switched off is exempt. */
async function faint(page: Page): Promise<string[]> {
  return (await page.evaluate(LOOK_FOR_FAINT(TEXT, LARGE))) as string[]
}

async function small(page: Page): Promise<string[]> {
  return (await page.evaluate(`(() => {
    const dialog = [...document.querySelectorAll('dialog[open]')].pop() ?? document
    return [...dialog.querySelectorAll('button, select, summary, .tab, .button, input:not([type=checkbox], [type=radio]), .check')]
      .filter(element => element.checkVisibility() && !element.classList.contains('skip'))
      .map(element => ({ element, box: element.getBoundingClientRect() }))
      .filter(({ box }) => box.height < ${FINGER} - 0.5 || box.width < ${FINGER} - 0.5)
      .map(({ element, box }) => \`"\${element.textContent}" is only \${box.width} by \${box.height} px\`)
  })()`)) as string[]
}

async function wide(page: Page): Promise<string[]> {
  return (await page.evaluate(`(() => {
    const boxes = [document.documentElement, ...document.querySelectorAll('main, dialog[open], .split-detail, .rows')]
    return boxes
      .filter(box => box.scrollWidth > box.clientWidth + 1)
      .map(box => \`\${box.tagName} \${box.className} is \${box.scrollWidth} px wide in \${box.clientWidth}\`)
  })()`)) as string[]
}

const LOOK_FOR_FAINT = (text: number, large: number): string => `(() => {
  const parse = colour => {
    const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number)
    return [r, g, b, a]
  }
  const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1]
  const light = ([r, g, b]) => {
    const part = value => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4)
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b)
  }
  const ground = element => {
    const chain = []
    for (let up = element; up !== null; up = up.parentElement) chain.unshift(up)
    return chain.reduce((under, up) => over(parse(getComputedStyle(up).backgroundColor), under), [255, 255, 255, 1])
  }
  const faults = new Set()
  const within = [...document.querySelectorAll('dialog[open]')].pop() ?? document.body
  const walker = document.createTreeWalker(within, NodeFilter.SHOW_TEXT)
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const element = node.parentElement
    if (node.data.trim() === '' || !element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue
    if (element.closest('.unseen, .dot, .skip, noscript, option, button:disabled, :disabled, dialog:not([open])')) continue
    const style = getComputedStyle(element)
    let opacity = 1
    for (let up = element; up !== null; up = up.parentElement) opacity *= Number(getComputedStyle(up).opacity)
    const behind = ground(element)
    const [r, g, b, a] = parse(style.color)
    const shown = over([r, g, b, a * opacity], behind)
    const [dark, bright] = [light(shown), light(behind)].sort((x, y) => x - y)
    const ratio = (bright + 0.05) / (dark + 0.05)
    const size = parseFloat(style.fontSize)
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700)
    if (ratio < (isLarge ? ${large} : ${text})) faults.add('"' + node.data.trim().slice(0, 40) + '" has a contrast of ' + ratio.toFixed(2))
  }
  return [...faults]
})()`
