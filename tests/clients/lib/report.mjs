// One line a check, in the form that `run` counts.

let failed = false;

/** Runs `body`; prints `PASS label` or `FAIL label: why`. Never throws, so that later checks still run. */
export async function check(label, body) {
  try {
    await body();
    console.log(`PASS ${label}`);
  } catch (error) {
    failed = true;
    console.log(`FAIL ${label}: ${oneLine(error)}`);
  }
}

/** Ends the process, even if a client left a connection open. */
export function finish() {
  process.exit(failed ? 1 : 0);
}

function oneLine(error) {
  const causes = [];
  for (let cause = error; cause !== undefined && cause !== null; cause = cause.cause) {
    causes.push(cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause));
  }
  return causes.join(' <- ').replace(/\s+/g, ' ').slice(0, 600);
}
