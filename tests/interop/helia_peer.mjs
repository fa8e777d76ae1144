#!/usr/bin/env node
// One Helia (js-libp2p) node on loopback, driven by lines, as kubo_peer.py is.
//
// Reads one command a line, answers one JSON object a line (README.md lists them). The first
// line it prints is {"ok": true, "ready": true, ...}. Ends at `quit` or at end of input.
// Everything is kept in memory. Needs Node 22; modules come from build/interop
// ($DAGFS_INTEROP), both put there by scripts/setup-interop.

import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { createReadStream, createWriteStream } from 'node:fs'
import { lstat, mkdir, readdir, readFile, symlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'

const HERE = dirname(fileURLToPath(import.meta.url))
const INTEROP = resolve(process.env.DAGFS_INTEROP ?? join(HERE, '..', '..', 'build', 'interop'))
const COMMAND_SECONDS = 120
const BLOCKS_AT_ONCE = 32
const FIND_MS = 10_000

// The packages are ES modules of a foreign folder: find each one's own entry by its exports.
const require = createRequire(join(INTEROP, 'package.json'))
async function load (name) {
  const parts = name.split('/')
  const pkg = parts.slice(0, name.startsWith('@') ? 2 : 1).join('/')
  const sub = '.' + name.slice(pkg.length)
  const root = require.resolve.paths(name).map((dir) => join(dir, pkg))[0]
  const manifest = JSON.parse(await readFile(join(root, 'package.json')))
  let entry = manifest.exports?.[sub] ?? manifest.main
  while (typeof entry === 'object') {
    entry = entry.node ?? entry.import ?? entry.default
  }
  return import(pathToFileURL(join(root, entry)))
}

const { createHeliaLight } = await load('helia')
const { withLibp2pLight } = await load('@helia/libp2p')
const { withBitswap } = await load('@helia/bitswap')
const { unixfs } = await load('@helia/unixfs')
const { noise } = await load('@chainsafe/libp2p-noise')
const { yamux } = await load('@chainsafe/libp2p-yamux')
const { tcp } = await load('@libp2p/tcp')
const { identify, identifyPush } = await load('@libp2p/identify')
const { ping } = await load('@libp2p/ping')
const { kadDHT } = await load('@libp2p/kad-dht')
const { multiaddr } = await load('@multiformats/multiaddr')
const { CID } = await load('multiformats/cid')
const { CarBlockIterator, CarWriter } = await load('@ipld/car')
const { createUnsafe } = await load('multiformats/block')
const { peerIdFromString } = await load('@libp2p/peer-id')
const { exporter } = await load('ipfs-unixfs-exporter')
const { fixedSize } = await load('ipfs-unixfs-importer/chunker')
const { balanced } = await load('ipfs-unixfs-importer/layout')

// withLibp2pLight adds no defaults of its own: no bootstrap list, no mDNS, no delegated
// routers, no relays. Nothing is dialled but what `connect` or the DHT names.
const helia = withBitswap(withLibp2pLight(createHeliaLight(), {
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: {
    identify: identify(),
    identifyPush: identifyPush(),
    ping: ping(),
    dht: kadDHT({
      protocol: '/ipfs/lan/kad/1.0.0',
      clientMode: false,
      // The default mappers drop loopback addresses.
      peerInfoMapper: (peer) => peer,
      allowQueryWithZeroPeers: true
    })
  }
}))
await helia.start()
const fs = unixfs(helia)

// Kubo's defaults, so that equal files get equal CIDs: CID v0, dag-pb leaves, 256 KiB
// chunks, 174 links. `add --v1` instead uses CID v1, raw leaves and 1 MiB chunks.
const V0 = {
  cidVersion: 0,
  rawLeaves: false,
  chunker: fixedSize({ chunkSize: 262144 }),
  layout: balanced({ maxChildrenPerNode: 174 })
}
const V1 = {
  cidVersion: 1,
  rawLeaves: true,
  chunker: fixedSize({ chunkSize: 1048576 }),
  layout: balanced({ maxChildrenPerNode: 1024 })
}

async function * walk (path, name) {
  const stat = await lstat(path)
  if (stat.isDirectory()) {
    yield { path: name }
    for (const child of (await readdir(path)).sort()) {
      yield * walk(join(path, child), `${name}/${child}`)
    }
  } else if (stat.isFile()) {
    yield { path: name, content: createReadStream(path) }
  } else {
    throw new Error(`neither file nor directory: ${path}`)
  }
}

async function add (rest) {
  const options = rest.startsWith('--v1 ') ? V1 : V0
  const path = rest.replace(/^--v1 /, '')
  let cid
  for await (const entry of fs.addAll(walk(path, 'root'), options)) {
    cid = entry.cid // the root comes last
  }
  if (!await helia.pins.isPinned(cid)) await drain(helia.pins.add(cid))
  return { cid: cid.toString() }
}

async function drain (source) {
  for await (const _ of source) { /* only its end matters */ }
}

async function save (cid, dest, signal) {
  const options = { signal, blockReadConcurrency: BLOCKS_AT_ONCE }
  const entry = await exporter(cid, helia.blockstore, options)
  if (entry.type === 'directory') {
    await mkdir(dest, { recursive: true })
    for await (const child of entry.entries({ signal })) {
      await save(child.cid, join(dest, child.name), signal)
    }
  } else if (entry.unixfs?.type === 'symlink') {
    await symlink(new TextDecoder().decode(entry.unixfs.data), dest)
  } else {
    const file = createWriteStream(dest)
    for await (const bytes of entry.content(options)) {
      if (!file.write(bytes)) await once(file, 'drain')
    }
    file.end()
    await once(file, 'close')
  }
}

async function blockOf (cid, signal) {
  const parts = []
  const options = { signal, offline: true }
  for await (const bytes of helia.blockstore.get(cid, options)) parts.push(bytes)
  return parts.length === 1 ? parts[0] : Buffer.concat(parts)
}

// The blocks below a root, depth first, links in order, each once. Nothing is fetched.
async function * blocksBelow (root, signal) {
  const waiting = [root]
  const seen = new Set()
  while (waiting.length > 0) {
    const cid = waiting.pop()
    if (seen.has(cid.toString())) continue
    seen.add(cid.toString())
    const bytes = await blockOf(cid, signal)
    yield { cid, bytes }
    const block = createUnsafe({ cid, bytes, codec: await helia.getCodec(cid.code) })
    waiting.push(...[...block.links()].map(([, link]) => link).reverse())
  }
}

async function exportCar (rest, signal) {
  const [text, ...path] = rest.split(' ')
  const root = CID.parse(text)
  const { writer, out } = CarWriter.create([root])
  const written = pipeline(Readable.from(out), createWriteStream(path.join(' ')))
  // Who writes and who drains go side by side: the writer waits for the drain.
  const filled = (async () => {
    for await (const block of blocksBelow(root, signal)) await writer.put(block)
  })().finally(() => writer.close())
  await Promise.all([filled, written])
}

// Every block's hash is computed: neither the archive's reader nor the blockstore does. A root
// that is pinned has all its blocks, as nothing is fetched.
async function importCar (path, signal) {
  const car = await CarBlockIterator.fromIterable(createReadStream(path))
  const roots = await car.getRoots()
  let blocks = 0
  for await (const { cid, bytes } of car) {
    const hasher = await helia.getHasher(cid.multihash.code)
    const { digest } = await hasher.digest(bytes)
    if (!Buffer.from(digest).equals(cid.multihash.digest)) throw new Error(`not ${cid}`)
    await helia.blockstore.put(cid, bytes, { signal })
    blocks++
  }
  for (const root of roots) {
    if (!await helia.pins.isPinned(root)) {
      await drain(helia.pins.add(root, { signal, offline: true }))
    }
  }
  return { roots: roots.map((root) => root.toString()), blocks }
}

const names = (peers) => peers.map((peer) => peer.toString())

const commands = {
  id: () => ({
    id: helia.libp2p.peerId.toString(),
    addrs: names(helia.libp2p.getMultiaddrs()),
    protocols: helia.libp2p.getProtocols()
  }),
  add,
  get: async (rest, signal) => {
    const [cid, ...dest] = rest.split(' ')
    await save(CID.parse(cid), dest.join(' '), signal)
  },
  cat: async (rest, signal) => {
    const parts = []
    for await (const bytes of fs.cat(CID.parse(rest), { signal })) parts.push(bytes)
    return { hex: Buffer.concat(parts).toString('hex') }
  },
  connect: async (rest, signal) => { await helia.libp2p.dial(multiaddr(rest), { signal }) },
  disconnect: async (rest) => { await helia.libp2p.hangUp(multiaddr(rest)) },
  peers: () => ({
    peers: helia.libp2p.getConnections().map((c) => c.remoteAddr.toString())
  }),
  ping: async (rest, signal) => ({
    rtt_ms: await helia.libp2p.services.ping.ping(
      rest.startsWith('/') ? multiaddr(rest) : peerIdFromString(rest), { signal })
  }),
  // Peers that this node's own routing table knows, for waiting until the DHT is joined.
  dhtpeers: () => ({ count: helia.libp2p.services.dht.routingTable.size }),
  findprovs: async (rest, signal) => {
    const found = new Set()
    const ends = AbortSignal.any([signal, AbortSignal.timeout(FIND_MS)])
    try {
      const { contentRouting } = helia.libp2p
      for await (const peer of contentRouting.findProviders(CID.parse(rest), { signal: ends })) {
        found.add(peer.id.toString())
      }
    } catch (err) {
      if (!ends.aborted) throw err
    }
    return { providers: [...found] }
  },
  findpeer: async (rest, signal) => {
    const peer = await helia.libp2p.peerRouting.findPeer(peerIdFromString(rest), { signal })
    return { addrs: names(peer.multiaddrs) }
  },
  provide: async (rest, signal) => {
    await helia.libp2p.contentRouting.provide(CID.parse(rest), { signal })
  },
  pin: async (rest, signal) => { await drain(helia.pins.add(CID.parse(rest), { signal })) },
  unpin: async (rest) => { await drain(helia.pins.rm(CID.parse(rest))) },
  pins: async () => {
    const pins = []
    for await (const pin of helia.pins.ls()) pins.push(pin.cid.toString())
    return { pins }
  },
  carexport: exportCar,
  carimport: importCar,
  gc: async () => { await helia.gc() },
  has: async (rest) => ({ has: await helia.blockstore.has(CID.parse(rest)) })
}

async function answer (line) {
  // "@SECONDS " before a command sets its deadline.
  const [, seconds, word, rest] = line.trim().match(/^(?:@([0-9.]+) )?(\S+)\s*(.*)$/)
  if (!Object.hasOwn(commands, word)) return { ok: false, error: `unsupported: ${word}` }
  const began = performance.now()
  const signal = AbortSignal.timeout(1000 * (seconds ?? COMMAND_SECONDS))
  try {
    const told = await commands[word](rest, signal)
    return { ok: true, seconds: Math.round(performance.now() - began) / 1000, ...told }
  } catch (err) {
    const error = signal.aborted ? 'timeout' : `${err.name}: ${err.message}`
    return { ok: false, error }
  }
}

const say = (what) => process.stdout.write(JSON.stringify(what) + '\n')

process.on('unhandledRejection', (err) => process.stderr.write(`helia: ${err?.stack}\n`))
process.on('SIGTERM', () => process.exit(0))
const agent = `${helia.info.name}/${helia.info.version}`
say({ ok: true, ready: true, engine: 'helia', agent, ...commands.id() })
for await (const line of createInterface({ input: process.stdin })) {
  if (line.trim() === 'quit') {
    say({ ok: true })
    break
  }
  if (line.trim()) say(await answer(line))
}
await Promise.race([helia.stop(), new Promise((done) => setTimeout(done, 5000))])
process.exit(0)
