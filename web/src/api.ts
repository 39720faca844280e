/** The only place that talks to the JSON routes. */

/** A refusal, with the server's own sentence and code. */
export class ApiError extends Error {
  constructor(
    readonly status: number, message: string, readonly code = "", readonly details: Record<string, unknown> = {},
  ) {
    super(message);
  }
}

const UNREACHABLE = "The server cannot be reached. Check that it runs, then try again.";
type Envelope = { success?: boolean; message?: string; error_code?: string; details?: Record<string, unknown> };

const csrf = () => document.querySelector<HTMLMetaElement>("meta[name=csrf]")?.content ?? "";

function opened<T>(status: number, text: string): T {
  let data: Envelope;
  try {
    data = JSON.parse(text || "{}") as Envelope;
  } catch {
    throw new ApiError(status, `The server answered ${status} with something that is not JSON.`);
  }
  if (status >= 400 || data.success === false) {
    throw new ApiError(status, data.message ?? `The server answered ${status}.`, data.error_code, data.details);
  }
  return data as T;
}

/** Sends `body` as JSON and returns the answer's fields; throws `ApiError` for a refusal. */
export async function post<T = Envelope>(path: string, body: unknown = {}): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json", "x-csrftoken": csrf() },
      body: JSON.stringify(body),
    });
  } catch {
    throw new ApiError(0, UNREACHABLE);
  }
  return opened<T>(response.status, await response.text());
}

/** Sends a file as it is, not as a form; otherwise as `post`. */
export async function postText<T = Envelope>(path: string, content: Blob | string, contentType: string): Promise<T> {
  let response: Response;
  try {
    const headers = { "content-type": contentType, accept: "application/json", "x-csrftoken": csrf() };
    response = await fetch(path, { method: "POST", headers, body: content });
  } catch {
    throw new ApiError(0, UNREACHABLE);
  }
  return opened<T>(response.status, await response.text());
}

export async function get<T>(path: string): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, { headers: { accept: "application/json" } });
  } catch {
    throw new ApiError(0, UNREACHABLE);
  }
  return opened<T>(response.status, await response.text());
}

/** Sends a form with files; `progress` hears the share that has been sent, 0 to 1. */
export function upload<T>(path: string, form: FormData, progress: (share: number) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch cannot report what has been sent
    request.open("POST", path);
    request.setRequestHeader("x-csrftoken", csrf());
    request.setRequestHeader("accept", "application/json");
    request.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
    request.onerror = () => reject(new ApiError(0, UNREACHABLE));
    request.onload = () => {
      try {
        resolve(opened<T>(request.status, request.responseText));
      } catch (problem) {
        reject(problem as Error);
      }
    };
    request.send(form);
  });
}
