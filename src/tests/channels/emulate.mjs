// Runs emulate's Slack, Resend and Twilio until the input ends. The argument is the folder that
// it is installed in.
import { pathToFileURL } from 'node:url'

const { createEmulator } = await import(pathToFileURL(`${process.argv[2]}/node_modules/emulate/dist/api.js`))
const addresses = {}
for (const service of ['slack', 'resend', 'twilio']) {
  const emulator = await createEmulator({ service, port: 0 })
  addresses[service] = `${emulator.url}/`
}
console.log(JSON.stringify(addresses))
process.stdin.resume()
process.stdin.on('end', () => process.exit(0))
