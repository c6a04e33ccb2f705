/* Measured series as paths of a drawing. Pure geometry; the component is shared/Chart. */

export interface Sample {
  time: number;
  [name: string]: number | undefined;
}

export interface Frame {
  width: number;
  height: number;
}

/** The round number at or above the greatest value: 1, 2 or 5 times a power of `base`. */
export function niceTop(values: readonly number[], base = 10): number {
  const most = Math.max(0, ...values);
  if (most === 0) return 1;
  if (base === 2) return 2 ** Math.ceil(Math.log2(most));
  const power = 10 ** Math.floor(Math.log10(most));
  return ([1, 2, 5].find((step) => step * power >= most) ?? 10) * power;
}

/** A line that is interrupted where values are missing. */
export function linePath(samples: readonly Sample[], name: string, top: number, frame: Frame): string {
  const first = samples[0]?.time ?? 0;
  const span = Math.max(1, (samples.at(-1)?.time ?? 1) - first);
  let path = "";
  let drawing = false;
  for (const sample of samples) {
    const value = sample[name];
    if (value === undefined || !Number.isFinite(value)) {
      drawing = false;
      continue;
    }
    const x = ((sample.time - first) / span) * frame.width;
    const y = frame.height - (Math.min(value, top) / top) * frame.height;
    path += `${drawing ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    drawing = true;
  }
  return path;
}

/** The sample nearest to a place from 0 (first) to 1 (last). */
export function nearest(samples: readonly Sample[], place: number): Sample | undefined {
  const first = samples[0];
  const last = samples.at(-1);
  if (!first || !last) return undefined;
  const wanted = first.time + place * (last.time - first.time);
  return samples.reduce((best, sample) =>
    Math.abs(sample.time - wanted) < Math.abs(best.time - wanted) ? sample : best,
  );
}
