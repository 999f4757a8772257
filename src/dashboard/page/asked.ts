/** An answer that a page asks for when it opens, and again when it is told to. */
import { useSignal } from '@preact/signals'
import { useCallback, useEffect } from 'preact/hooks'
import type { Refusal } from '../api.ts'
import { get, refusal } from './ask.ts'

export interface Asked<T> {
  readonly value: T | undefined
  readonly refused: Refusal | undefined
  readonly again: () => Promise<void>
}

export function useAsked<T>(path: string): Asked<T> {
  const state = useSignal<Pick<Asked<T>, 'value' | 'refused'>>({ value: undefined, refused: undefined })
  const again = useCallback(async () => {
    try {
      state.value = { value: await get<T>(path), refused: undefined }
    } catch (error) {
      state.value = { value: state.peek().value, refused: refusal(error) }
    }
  }, [path, state])
  useEffect(() => {
    state.value = { value: undefined, refused: undefined }
    void again()
  }, [again, state])
  return { ...state.value, again }
}
