/* What a form sends of what is there already: only what was changed in it. The rest may have been changed by
   somebody else meanwhile, may need rights that one does not have, and may be more exact than the form shows it. */

/** The entries of `now` that differ from those before. */
export function changed<T extends object>(before: T, now: T): Partial<T> {
  const keys = Object.keys(now) as (keyof T)[];
  return Object.fromEntries(keys.filter((key) => now[key] !== before[key]).map((key) => [key, now[key]])) as Partial<T>;
}

/** Groups as the API takes them: those that are new alone when none was left, else all that remain. */
export function changedGroups(before: string, now: string): { groups?: string; append?: true } {
  const [former, wanted] = [groupsOf(before), groupsOf(now)];
  const added = wanted.filter((group) => !former.includes(group));
  if (former.some((group) => !wanted.includes(group))) return { groups: wanted.join(",") };
  return added.length > 0 ? { groups: added.join(","), append: true } : {};
}

function groupsOf(text: string): string[] {
  return [...new Set(text.split(/[\s,;]+/).filter(Boolean))];
}
