/* Opening the viewer of a task from anywhere. */

import { createContext, useContext } from "react";

interface Tasks {
  open: (upid: string) => void;
}

export const TasksContext = createContext<Tasks>({ open: () => undefined });

export function useTasks(): Tasks {
  return useContext(TasksContext);
}
