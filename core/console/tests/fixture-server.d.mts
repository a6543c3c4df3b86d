export function startFixture(port?: number): Promise<{ url: string; close: () => Promise<void> }>
