/** Who is connected and who is away with a session. The order is made when it is asked for and stays: rows do not jump. */
import { useSignal } from '@preact/signals'
import { useRef } from 'preact/hooks'
import type { ClientState } from '../../api.ts'
import { act } from '../ask.ts'
import { confirmed } from '../confirm.tsx'
import { clients } from '../gateway.ts'
import { Icon } from '../icons.tsx'
import { Action, Age, Empty, Fact, Facts, Loading, State, Topic } from '../parts.tsx'
import { closeItem, hrefOf, item } from '../route.ts'
import { Rows } from '../rows.tsx'
import { Sheet } from '../sheet.tsx'
import { bytes, number, rate, some } from '../words.ts'

/** px; as in clients.css. */
const ROW = 64

const ORDERS = {
  name: { words: 'Name', compare: (a: ClientState, b: ClientState) => byName(a.id, b.id) },
  waiting: { words: 'Most waiting', compare: (a: ClientState, b: ClientState) => b.waiting - a.waiting },
  busy: { words: 'Busiest', compare: (a: ClientState, b: ClientState) => b.received + b.sent - a.received - a.sent },
  newest: { words: 'Newest', compare: (a: ClientState, b: ClientState) => (b.since ?? 0) - (a.since ?? 0) },
} as const
type Order = keyof typeof ORDERS
const byName = new Intl.Collator(undefined, { numeric: true }).compare

const SHOW = { all: 'All', connected: 'Connected', away: 'Away', waiting: 'With messages waiting' } as const
type Show = keyof typeof SHOW

export function ClientsPage() {
  const search = useSignal('')
  const order = useSignal<Order>('name')
  const show = useSignal<Show>('all')
  const known = clients.value
  const text = search.value.trim().toLowerCase()
  const matching = (known ?? []).filter(client => matches(client, text, show.value))
  const rows = useStill(matching, `${order.value}`, ORDERS[order.value].compare)
  const chosen = known?.find(client => client.id === item.value)
  return (
    <div class="filled">
      <h1>Clients</h1>
      <div class="filters">
        <label class="field search">
          <span class="unseen">Search clients</span>
          <Icon name="search" />
          <input
            type="search"
            placeholder="Name, user or address"
            value={search.value}
            onInput={event => (search.value = event.currentTarget.value)}
          />
        </label>
        <label class="field">
          <span class="unseen">Show</span>
          <select value={show.value} onChange={event => (show.value = event.currentTarget.value as Show)}>
            {Object.entries(SHOW).map(([value, words]) => (
              <option key={value} value={value}>
                {words}
              </option>
            ))}
          </select>
        </label>
        <label class="field">
          <span class="unseen">Order</span>
          <select value={order.value} onChange={event => (order.value = event.currentTarget.value as Order)}>
            {Object.entries(ORDERS).map(([value, { words }]) => (
              <option key={value} value={value}>
                {words}
              </option>
            ))}
          </select>
        </label>
      </div>
      {known === undefined && <Loading rows={6} />}
      {known !== undefined && rows.length === 0 && <Nobody any={known.length > 0} />}
      {rows.length > 0 && (
        <Rows items={rows} height={ROW} name="Clients" row={client => <ClientRow key={client.id} client={client} />} />
      )}
      {item.value !== undefined && known !== undefined && <ClientSheet id={item.value} client={chosen} />}
    </div>
  )
}

function Nobody(props: { any: boolean }) {
  if (props.any) return <Empty title="No client is like that" />
  return (
    <Empty title="Nobody is connected">
      <p>A phone, Home Assistant or a tool like mosquitto_sub appears here as soon as it connects.</p>
    </Empty>
  )
}

function matches(client: ClientState, text: string, show: Show): boolean {
  if (show === 'connected' && !client.connected) return false
  if (show === 'away' && client.connected) return false
  if (show === 'waiting' && client.waiting === 0) return false
  return [client.id, client.user, client.address].some(word => word?.toLowerCase().includes(text))
}

/** Items in an order that is made once for each `by`; those that come later stand at the end. */
function useStill(
  items: readonly ClientState[],
  by: string,
  compare: (a: ClientState, b: ClientState) => number,
): readonly ClientState[] {
  const kept = useRef<{ by: string; places: Map<string, number> }>({ by: '', places: new Map() })
  if (kept.current.by !== by || kept.current.places.size === 0) kept.current = { by, places: new Map() }
  const { places } = kept.current
  const fresh = items.filter(one => !places.has(one.id)).sort(compare)
  for (const one of fresh) places.set(one.id, places.size)
  return [...items].sort((a, b) => places.get(a.id)! - places.get(b.id)!)
}

function ClientRow(props: { client: ClientState }) {
  const { client } = props
  return (
    <li class="client-row">
      <a href={hrefOf('clients', client.id)}>
        <span class="client-name">{client.id === '' ? '(no name)' : client.id}</span>
        <span class="client-state">
          <Presence client={client} />
        </span>
        <span class="client-who quiet-text">{[client.user, client.address].filter(Boolean).join(' · ')}</span>
        <span class="client-queue">
          {client.waiting > 0 && (
            <State tone={client.connected ? 'quiet' : 'warn'} icon="wait">
              {number(client.waiting)} waiting
            </State>
          )}
        </span>
        <span class="client-rate quiet-text">
          {client.connected && `in ${rate(client.received)} · out ${rate(client.sent)}`}
        </span>
      </a>
    </li>
  )
}

function Presence(props: { client: ClientState }) {
  const { connected, since } = props.client
  return (
    <State tone={connected ? 'ok' : 'quiet'} icon={connected ? 'ok' : 'wait'}>
      {connected ? 'connected' : 'away'} {since !== undefined && <Age at={since} bare />}
    </State>
  )
}

function ClientSheet(props: { id: string; client: ClientState | undefined }) {
  const { client, id } = props
  if (client === undefined) {
    return (
      <Sheet title={id}>
        <Empty title="It is gone">
          <p>It is not connected and has no session any more.</p>
        </Empty>
      </Sheet>
    )
  }
  return (
    <Sheet title={client.id}>
      <p>
        <Presence client={client} />
      </p>
      <Facts>
        <Fact name="User">{client.user ?? (client.connected ? 'nobody: it came without a name' : undefined)}</Fact>
        <Fact name="Address">{client.address}</Fact>
        <Fact name="Came in by">{client.listener}</Fact>
        <Fact name="Speaks">{client.version && `MQTT ${client.version}`}</Fact>
        <Fact name="Keep alive">{client.keepalive && `${number(client.keepalive)} s`}</Fact>
        <Fact name="Session">
          {client.clean === undefined ? undefined : client.clean ? 'ends when it goes' : 'waits for it when it goes'}
        </Fact>
        <Fact name="Waiting for it">
          {client.waiting === 0 ? 'nothing' : `${some(client.waiting, 'message')}, ${bytes(client.waitingBytes)}`}
        </Fact>
        <Fact name="Oldest waiting">{client.oldest !== undefined && <Age at={client.oldest} />}</Fact>
        <Fact name="Publishes">{rate(client.received)}</Fact>
        <Fact name="Gets">{rate(client.sent)}</Fact>
      </Facts>
      <h3>Subscriptions</h3>
      {client.subscriptions.length === 0 ? (
        <p class="quiet-text">None.</p>
      ) : (
        <ul class="plain-list">
          {client.subscriptions.map(({ filter, qos }) => (
            <li key={filter}>
              <Topic name={filter} /> <span class="quiet-text">QoS {qos}</span>
            </li>
          ))}
        </ul>
      )}
      <div class="buttons">
        {client.connected && (
          <Action icon="leave" act={() => disconnect(client)}>
            Disconnect
          </Action>
        )}
        {(!client.connected || client.clean === false) && (
          <Action icon="bin" kind="danger" act={() => drop(client)}>
            Drop session
          </Action>
        )}
      </div>
    </Sheet>
  )
}

async function disconnect(client: ClientState): Promise<string | undefined> {
  const yes = await confirmed({
    title: `Disconnect ${client.id}?`,
    text: 'Most clients connect again by themselves. Its session and what waits for it stay.',
    action: 'Disconnect',
  })
  return yes ? (await act('disconnect', { client: client.id })).message : undefined
}

async function drop(client: ClientState): Promise<string | undefined> {
  const loss =
    client.waiting === 0 ? 'Nothing waits for it.' : `${some(client.waiting, 'message')} that waits for it is lost.`
  const yes = await confirmed({
    title: `Drop the session of ${client.id}?`,
    text: `Its subscriptions are forgotten. ${loss} This cannot be taken back.`,
    action: 'Drop session',
  })
  if (!yes) return undefined
  const { message } = await act('drop', { client: client.id })
  closeItem()
  return message
}
