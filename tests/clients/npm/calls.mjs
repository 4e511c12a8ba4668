// Calls everything that @nftstorage/ipfs-cluster offers but add, and prints a line for each: a name, a tab, the result in JSON or the error.
// Arguments: the URL of the API, the ID of the peer, CIDs of two files, a path to a file in a folder, a CID that nobody has.
import { Cluster } from '@nftstorage/ipfs-cluster'

const [url, peer, file, other, path, absent] = process.argv.slice(2)
const cluster = new Cluster(url)

const tell = async (name, call) => {
  try {
    console.log(`${name}\t${JSON.stringify(await call())}`)
  } catch (error) {
    console.log(`${name}\t${error.message} ${(await error.response?.text())?.trim()}`)
  }
}

const pinned = async (cid) => {
  const is = ({ peerMap }) => Object.values(peerMap).every(({ status }) => status === 'pinned')
  while (!is(await cluster.status(cid))) await new Promise((resolve) => setTimeout(resolve, 50))
}

await tell('version', () => cluster.version())
await tell('info', () => cluster.info())
await tell('peerList', () => cluster.peerList())
await tell('metricNames', () => cluster.metricNames())
await tell('statusAll of nothing', () => cluster.statusAll())

await tell('pin', () => cluster.pin(file))
await tell('pin with options', () =>
  cluster.pin(file, {
    name: 'two words & <more>',
    mode: 'recursive',
    replicationFactorMin: 1,
    replicationFactorMax: 1,
    shardSize: 1000,
    userAllocations: [peer],
    expireAt: new Date('2140-01-02T03:04:05.678Z'),
    metadata: { key: 'value', 'other key': 'a=b&c' },
    origins: [`/ip4/127.0.0.1/tcp/1/p2p/${peer}`]
  })
)
await tell('pin a path', () => cluster.pin(path))
await tell('pin directly', () => cluster.pin(path, { mode: 'direct', name: 'leaf' }))
await tell('pin as update', () => cluster.pin(other, { pinUpdate: file }))
await tell('pin with a bad option', () => cluster.pin(file, { replicationFactorMin: 3, replicationFactorMax: 2 }))
await tell('pin on too many', () => cluster.pin(file, { replicationFactorMin: 2, replicationFactorMax: 2 }))
await tell('pin no CID', () => cluster.pin('abc'))
await Promise.all([pinned(file), pinned(other)])

await tell('status', () => cluster.status(file))
await tell('status here', () => cluster.status(file, { local: true }))
await tell('status of nothing', () => cluster.status(absent))
await tell('status of no CID', () => cluster.status('abc'))
await tell('statusAll of some', () => cluster.statusAll({ cids: [file, other] }))
await tell('statusAll here', () => cluster.statusAll({ cids: [file, absent], local: true }))
await tell('statusAll of pinned ones', () => cluster.statusAll({ filter: ['pinned', 'pin_error'], cids: [file] }))
await tell('statusAll of those in error', () => cluster.statusAll({ filter: ['pin_error'] }))
await tell('statusAll with a bad filter', () => cluster.statusAll({ filter: ['nonsense'] }))
await tell('allocation', () => cluster.allocation(file))
await tell('allocation of nothing', () => cluster.allocation(absent))
await tell('recover', () => cluster.recover(file))
await tell('recover here', () => cluster.recover(file, { local: true }))
await tell('recover nothing', () => cluster.recover(absent))

await tell('unpin', () => cluster.unpin(file))
await tell('unpin a path', () => cluster.unpin(path))
await tell('unpin the other', () => cluster.unpin(other))
await tell('unpin nothing', () => cluster.unpin(absent))
await tell('unpin no CID', () => cluster.unpin('abc'))
