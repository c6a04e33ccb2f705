/* Sending a form: one at a time, the failure kept for showing. */

import { useCallback, useEffect, useRef, useState } from "react";

import { asFailure, type ApiFailure } from "../api/failure";

export interface Submit {
  busy: boolean;
  failure: ApiFailure | undefined;
  /** Runs `action`; whether it succeeded. Never throws. */
  run: (action: () => Promise<unknown>) => Promise<boolean>;
  clear: () => void;
}

export function useSubmit(): Submit {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<ApiFailure>();
  const mounted = useRef(true);
  useEffect(() => {
    mounted.current = true;
    return () => {
      mounted.current = false;
    };
  }, []);
  const run = useCallback(async (action: () => Promise<unknown>): Promise<boolean> => {
    setBusy(true);
    setFailure(undefined);
    try {
      await action();
      return true;
    } catch (error) {
      if (mounted.current) setFailure(asFailure(error));
      return false;
    } finally {
      if (mounted.current) setBusy(false);
    }
  }, []);
  const clear = useCallback(() => setFailure(undefined), []);
  return { busy, failure, run, clear };
}
