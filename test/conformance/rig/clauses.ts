/** The lists of statements: one line each, with four columns; lines that begin with # say where they are from. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Case, NotObservable, Row, Standard } from './format.ts'

interface Clause {
  id: string
  binds: string
  observable: boolean
  rule: string
}

export function readClauses(file: string): Map<string, Clause> {
  const lines = readFileSync(join(import.meta.dirname, '..', file), 'utf8').split('\n')
  const rows = lines.filter(line => line !== '' && !line.startsWith('#')).map(line => line.split('\t'))
  const clauses = rows.map(([id = '', binds = '', observable, rule = '']) => [
    id,
    { id, binds, observable: observable === 'yes', rule },
  ])
  const map = new Map(clauses as [string, Clause][])
  if (map.size !== rows.length) throw new Error(`${file} names a statement twice`)
  return map
}

export const isCase = (row: Row): row is Case => 'steps' in row

/** What keeps a standard's tables from being complete, one line each. */
export function gaps(standard: Standard): string[] {
  const clauses = readClauses(standard.clauses)
  const rows = Object.values(standard.chapters).flat()
  const shown = new Set(rows.filter(isCase).flatMap(row => row.clause))
  const explained = new Map(
    rows
      .filter((row): row is NotObservable => !isCase(row))
      .flatMap(row => row.clause.map(id => [id, row.notObservable])),
  )
  return [
    ...[...new Set([...shown, ...explained.keys()])].filter(id => !clauses.has(id)).map(id => `${id} does not exist`),
    ...[...clauses.values()].flatMap(({ id, observable, rule }) => {
      if (observable && explained.has(id))
        return [`${id} is listed as observable, but the tables say why it is not: ${rule}`]
      if (observable && !shown.has(id)) return [`${id} has no case: ${rule}`]
      if (!observable && !explained.get(id)) return [`${id} has neither a case nor a reason: ${rule}`]
      return []
    }),
  ]
}
