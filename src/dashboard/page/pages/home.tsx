/** Rooms as shelves, and on them what the things say. Order and places are the gateway's and stay. */
import type { Overview, Room } from '../../api.ts'
import { hello, home, overview, problems } from '../gateway.ts'
import { Empty, Loading, State } from '../parts.tsx'
import { hrefOf, item } from '../route.ts'
import { number, some } from '../words.ts'
import { FirstRun } from './first-run.tsx'
import { HistorySheet } from './history.tsx'
import { ThingCard } from './thing.tsx'

export function HomePage() {
  const rooms = home.value
  const firstRun = hello.value?.firstRun === true
  return (
    <>
      <h1>Home</h1>
      <Summary />
      {firstRun && <FirstRun />}
      {rooms === undefined ? <Loading kind="card" rows={6} /> : <Rooms rooms={rooms} firstRun={firstRun} />}
      {item.value !== undefined && <HistorySheet key={item.value} series={item.value} />}
    </>
  )
}

/** How all is doing, always in as much room: when something goes wrong, the cards stay where they are. */
function Summary() {
  const told = overview.value
  const [first, ...others] = problems.value ?? []
  return (
    <div class="summary">
      <p class={`summary-state${first === undefined ? '' : ' says-fail'}`}>
        {told !== undefined && first === undefined && (
          <State tone="ok" icon="ok">
            All is well
          </State>
        )}
        {first !== undefined && (
          <State tone="fail" icon="warn">
            {first}
          </State>
        )}
        {others.length > 0 && <a href={hrefOf('health')}>and {number(others.length)} more</a>}
      </p>
      <p class="summary-counts quiet-text">{told !== undefined && <Counts told={told} />}</p>
    </div>
  )
}

function Counts(props: { told: Overview }) {
  const { devices, clients, bridges, waiting } = props.told
  return (
    <>
      {devices.all > 0 && (
        <a href={hrefOf('devices')}>
          {number(devices.online)} of {some(devices.all, 'device')} online
        </a>
      )}
      <a href={hrefOf('clients')}>{some(clients, 'client')} connected</a>
      {bridges.all > 0 && (
        <a href={hrefOf('bridges')}>
          {number(bridges.connected)} of {some(bridges.all, 'bridge')} connected
        </a>
      )}
      <span>{waiting === 0 ? 'nothing' : number(waiting)} waiting</span>
    </>
  )
}

function Rooms(props: { rooms: readonly Room[]; firstRun: boolean }) {
  if (props.rooms.length === 0 && !props.firstRun) {
    return (
      <Empty title="No things yet">
        <p>
          A device of the configuration becomes a card here, in its room. <a href={hrefOf('devices')}>Devices</a> shows
          what is plugged in and the lines to copy.
        </p>
      </Empty>
    )
  }
  return props.rooms.map(room => (
    <section key={room.name} class="shelf" aria-label={room.name}>
      <h2>{room.name}</h2>
      <div class="cards">
        {room.things.map(thing => (
          <ThingCard key={thing.id} thing={thing} />
        ))}
      </div>
    </section>
  ))
}
