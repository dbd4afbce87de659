/** How far a long step is: a bar in a terminal, elsewhere a line every five seconds. */
import cliProgress from 'cli-progress'

export interface Progress {
  /** Tells how much is done by now. */
  update(done: number): void
  /** Ends the bar, or prints the last line. */
  stop(): void
}

const lineEveryMs = 5_000

/**
 * @param title what is being done: `loading`
 * @param total how much there is to do, in records
 */
export function createProgress(title: string, total: number, out: NodeJS.WriteStream = process.stdout): Progress {
  const startedAt = performance.now()
  let done = 0
  const text = () => progressText(done, total, performance.now() - startedAt)
  if (out.isTTY) {
    const bar = new cliProgress.SingleBar(
      { format: `${title.padEnd(10)} {bar} {text}`, stream: out, barsize: 24, hideCursor: true, fps: 5 },
      cliProgress.Presets.shades_classic,
    )
    bar.start(total, 0, { text: text() })
    return {
      update(now) {
        done = now
        bar.update(done, { text: text() })
      },
      stop() {
        bar.update(done, { text: text() })
        bar.stop()
      },
    }
  }
  const print = () => out.write(`${title.padEnd(10)} ${text()}\n`)
  const timer = setInterval(print, lineEveryMs)
  return {
    update(now) {
      done = now
    },
    stop() {
      clearInterval(timer)
      print()
    },
  }
}

/** `120,000 / 500,000 (24%), 61,000/s, 7 s left`. The rate is the mean since the start. */
export function progressText(done: number, total: number, elapsedMs: number): string {
  const share = total === 0 ? 100 : Math.floor((100 * done) / total)
  const parts = [`${grouped(done)} / ${grouped(total)} (${share}%)`]
  if (done > 0 && elapsedMs > 0) {
    const perSecond = (done * 1_000) / elapsedMs
    parts.push(`${grouped(Math.round(perSecond))}/s`)
    parts.push(done < total ? `${Math.ceil((total - done) / perSecond)} s left` : `${(elapsedMs / 1_000).toFixed(1)} s`)
  }
  return parts.join(', ')
}

/** 1234567 as `1,234,567`, whatever the machine's language. */
export function grouped(value: number): string {
  return value.toLocaleString('en-US')
}
