/* A small line chart of measured values over time, drawn here: a chart library would outweigh all else. */

import { Card, CardBody, CardTitle } from "@patternfly/react-core";
import { useState, type ReactElement } from "react";

import { axisTime } from "../logic/format";
import { linePath, nearest, niceTop, type Sample } from "../logic/series";

export interface Line {
  name: string;
  label: string;
}

interface Props {
  title: string;
  samples: readonly Sample[];
  lines: readonly Line[];
  show: (value: number) => string;
  /** A fixed upper end, e.g. 1 for shares. */
  top?: number | undefined;
  base?: 2 | 10;
}

const FRAME = { width: 600, height: 160 };

export function Chart({ title, samples, lines, show, top, base = 10 }: Props): ReactElement {
  const [place, setPlace] = useState<number>();
  const values = samples.flatMap((sample) => lines.map((line) => sample[line.name] ?? 0));
  const most = top ?? niceTop(values, base);
  const present = place === undefined ? lastWith(samples, lines) : nearest(samples, place);
  const first = samples[0];
  const last = samples.at(-1);
  const span = (last?.time ?? 0) - (first?.time ?? 0);
  const words = present
    ? lines.map((line) => `${line.label} ${format(present[line.name], show)}`).join(", ")
    : "no figures yet";
  return (
    <Card isCompact isFullHeight>
      <CardTitle component="h3">{title}</CardTitle>
      <CardBody>
        <svg
          viewBox={`-2 -4 ${FRAME.width + 4} ${FRAME.height + 8}`}
          className="q-chart"
          role="img"
          aria-label={`${title}: ${words}`}
          preserveAspectRatio="none"
          onMouseMove={(event) => {
            const box = event.currentTarget.getBoundingClientRect();
            setPlace((event.clientX - box.left) / box.width);
          }}
          onMouseLeave={() => setPlace(undefined)}
        >
          {[0, 0.25, 0.5, 0.75, 1].map((share) => (
            <line
              key={share}
              className="q-chart-grid"
              x1={0}
              x2={FRAME.width}
              y1={FRAME.height * share}
              y2={FRAME.height * share}
            />
          ))}
          {lines.map((line, index) => (
            <path
              key={line.name}
              className={`q-chart-line q-line-${index}`}
              d={linePath(samples, line.name, most, FRAME)}
              vectorEffect="non-scaling-stroke"
            />
          ))}
          {place !== undefined && first && last && present && (
            <line
              className="q-chart-cursor"
              x1={((present.time - first.time) / Math.max(1, last.time - first.time)) * FRAME.width}
              x2={((present.time - first.time) / Math.max(1, last.time - first.time)) * FRAME.width}
              y1={0}
              y2={FRAME.height}
              vectorEffect="non-scaling-stroke"
            />
          )}
        </svg>
        <div className="q-chart-axis">
          <span>{axisTime(first?.time, span)}</span>
          <span>up to {show(most)}</span>
          <span>{axisTime(last?.time, span)}</span>
        </div>
        <div className="q-legend">
          {lines.map((line, index) => (
            <span key={line.name}>
              <span className={`q-swatch q-line-${index}`} aria-hidden="true" />
              {line.label}: <strong>{format(present?.[line.name], show)}</strong>
            </span>
          ))}
        </div>
      </CardBody>
    </Card>
  );
}

function lastWith(samples: readonly Sample[], lines: readonly Line[]): Sample | undefined {
  return samples.findLast((sample) => lines.some((line) => sample[line.name] !== undefined));
}

function format(value: number | undefined, show: (value: number) => string): string {
  return value === undefined ? "–" : show(value);
}
