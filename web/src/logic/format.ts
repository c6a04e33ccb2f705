/* Figures as people read them. */

const HALF_A_DAY = 43_200;
const THREE_DAYS = 3 * 86_400;
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

export function bytes(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return "–";
  let size = value;
  let unit = 0;
  while (size >= 1024 && unit < UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${size.toFixed(unit === 0 || size >= 100 ? 0 : 1)} ${UNITS[unit]}`;
}

export function percent(part: number | undefined, whole = 1): string {
  if (part === undefined || !Number.isFinite(part) || !whole) return "–";
  return `${((100 * part) / whole).toFixed(1)} %`;
}

/** Seconds as `3 d 04:05:06`. */
export function duration(seconds: number | undefined): string {
  if (seconds === undefined || seconds < 0) return "–";
  const whole = Math.floor(seconds);
  const days = Math.floor(whole / 86400);
  const two = (value: number): string => String(value).padStart(2, "0");
  const time = `${two(Math.floor(whole / 3600) % 24)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
  return days > 0 ? `${days} d ${time}` : time;
}

/** Seconds since 1970 as local date and time. */
export function time(epoch: number | undefined): string {
  if (!epoch) return "–";
  const date = new Date(epoch * 1000);
  const two = (value: number): string => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** The same at the end of an axis of `span` seconds: no more of it than tells its ends apart. */
export function axisTime(epoch: number | undefined, span: number): string {
  const whole = time(epoch);
  if (span < HALF_A_DAY) return whole.slice(-8, -3) || whole;
  return span < THREE_DAYS ? whole.slice(-14, -3) || whole : whole.slice(0, 10);
}

const SEVERITIES = ["panic", "alert", "critical", "error", "warning", "notice", "info", "debug"];

export function severity(priority: number): string {
  return SEVERITIES[priority] ?? String(priority);
}

const PRESENT: Readonly<Record<string, string>> = {
  clustercreate: "Create Cluster",
  clusterjoin: "Join Cluster",
  startall: "Start all guests",
  stopall: "Stop all guests",
  srvstart: "Start service",
  srvstop: "Stop service",
  srvrestart: "Restart service",
  srvreload: "Reload service",
  vncshell: "Console",
};

/** What a task does, e.g. "Restart service pvestatd". */
export function taskTitle(type: string, id: string): string {
  return `${PRESENT[type] ?? type}${id ? ` ${id}` : ""}`;
}

/** Microseconds as milliseconds, with as many digits as mean something. */
export function milliseconds(microseconds: number | undefined): string {
  if (microseconds === undefined || microseconds <= 0) return "";
  const value = microseconds / 1000;
  return `${value.toFixed(value >= 10 ? 0 : value >= 1 ? 1 : 2)} ms`;
}
