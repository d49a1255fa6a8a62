// A person at a browser: opens the sign-in page, picks an account, is sent back to the client.

/**
 * Signs `user` in at `authorizationUrl` and gives the redirect back to the client, unfollowed.
 * `login_hint` is how the emulator is told which account the person picks.
 */
export async function signIn(authorizationUrl, user) {
  const url = new URL(authorizationUrl);
  url.searchParams.set('login_hint', user);
  const page = await fetch(url, { redirect: 'manual' });
  const location = page.headers.get('location');
  if (page.status !== 302 || location === null) {
    throw new Error(`the sign-in page answered ${page.status}: ${(await page.text()).slice(0, 300)}`);
  }
  const back = new URL(location);
  if (back.searchParams.has('error')) {
    throw new Error(`sign-in ended with ${back.search}`);
  }
  return back;
}
