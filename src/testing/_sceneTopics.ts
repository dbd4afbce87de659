/** The topics that the processes of a scene write to: how what they send arrives, and what a reader sees in the end. */
import { type CommittedEmit, type TopicWriter, textOfTask } from '../core/emit.ts'
import type { PlanNode } from '../core/plan.ts'
import type { TaskId } from '../core/taskId.ts'
import { emittedIn, type SentTopic } from './_emitted.ts'
import { type PlacedRecord, placeOf, type Written } from './_place.ts'
import type { MemoryBroker } from './memoryBroker.ts'
import { memoryWriter } from './memoryWriter.ts'

export class SceneTopics {
  readonly #broker: MemoryBroker
  readonly #partitions: number
  /** Those that no step names, when something was written to them. */
  readonly #topics = new Map<string, SentTopic<unknown>>()
  /** The records that gave the emits, by task and sequence. */
  readonly #emitters = new Map<string, PlacedRecord | undefined>()

  constructor(broker: MemoryBroker, partitions: number, steps: readonly PlanNode[]) {
    this.#broker = broker
    this.#partitions = partitions
    for (const step of steps) if (step.kind === 'emit') this.#topics.set(step.topic.name, step.topic)
  }

  /**
   * One record after the other, so that processes come between each other.
   *
   * @param mayGoOn asked before each record, whether the process still lives
   */
  writer(mayGoOn: () => Promise<boolean>): TopicWriter {
    const writer = memoryWriter(this.#broker, { create: this.#partitions })
    return {
      open: (topic) => writer.open(topic),
      shapeOf: (topic) => writer.shapeOf(topic),
      close: () => writer.close(),
      async send(records, signal) {
        for (const record of records) {
          if (!(await mayGoOn())) return new Promise<void>(() => {})
          await writer.send([record], signal)
        }
      },
    }
  }

  /** Notes what was committed. */
  note(task: TaskId, emits: readonly CommittedEmit[], recordOf: (owner: number) => PlacedRecord | undefined): void {
    for (const { owner, sequence, topic, codec } of emits) {
      this.#topics.set(topic, { name: topic, codec })
      this.#emitters.set(`${textOfTask(task)} ${sequence}`, recordOf(owner))
    }
  }

  /** The records of all topics, by their places, as a reader sees them who drops repeats. */
  seen(): Map<string, Written[]> {
    return new Map(
      Array.from(this.#topics.values(), (topic) => {
        const place = placeOf({ kind: 'topic', name: topic.name })
        const records = emittedIn(this.#broker, topic).map(({ id, partition, key, value, headers }): Written => {
          return { place, partition, row: { key, value, headers }, record: this.#emitters.get(id) }
        })
        return [place, records]
      }),
    )
  }
}
