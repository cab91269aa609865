import { request } from 'node:http'
import { MultiverseError } from '../../sdk/errors.ts'

/** Bodies of Firecracker's API, as far as it is used here, by method and path. */
export type FirecrackerCalls = {
  'PUT /machine-config': {
    vcpu_count: number
    mem_size_mib: number
    smt?: boolean
    track_dirty_pages?: boolean
  }
  'PUT /boot-source': { kernel_image_path: string; initrd_path?: string; boot_args?: string }
  [drive: `PUT /drives/${string}`]: {
    drive_id: string
    path_on_host: string
    is_root_device: boolean
    is_read_only?: boolean
    cache_type?: 'Unsafe' | 'Writeback'
  }
  'PUT /vsock': { guest_cid: number; uds_path: string }
  'PUT /actions': { action_type: 'InstanceStart' }
  'PATCH /vm': { state: 'Paused' | 'Resumed' }
  'PUT /snapshot/create': {
    snapshot_path: string
    mem_file_path: string
    snapshot_type?: 'Full' | 'Diff'
  }
  'PUT /snapshot/load': {
    snapshot_path: string
    mem_backend: { backend_type: 'File' | 'Uffd'; backend_path: string }
    resume_vm?: boolean
    track_dirty_pages?: boolean
  }
}

/** What `GET /` tells. */
export type InstanceInfo = {
  id: string
  state: 'Not started' | 'Running' | 'Paused'
  vmm_version: string
  app_name: string
}

export type FirecrackerApi = {
  /** Rejects with PROVIDER_FAILED and Firecracker's own words when it refuses. */
  call: <name extends keyof FirecrackerCalls>(
    name: name,
    body: FirecrackerCalls[name],
  ) => Promise<void>
  info: () => Promise<InstanceInfo>
}

/** Firecracker's HTTP API on a unix socket. */
export function connectFirecracker(socketPath: string): FirecrackerApi {
  const send = (method: string, path: string, body: object | null) =>
    new Promise<string>((resolve, reject) => {
      const text = body === null ? '' : JSON.stringify(body)
      const headers = {
        Accept: 'application/json',
        ...(body && { 'Content-Type': 'application/json', 'Content-Length': text.length }),
      }
      const failed = (why: string, cause?: unknown) =>
        reject(
          new MultiverseError('PROVIDER_FAILED', `Firecracker refused ${method} ${path}: ${why}`, {
            cause,
          }),
        )
      const call = request({ socketPath, method, path, headers, agent: false }, (response) => {
        let answer = ''
        response.on('data', (chunk: Buffer) => (answer += chunk.toString()))
        response.on('error', (cause) => failed(cause.message, cause))
        response.on('end', () => {
          const { statusCode = 0 } = response
          if (statusCode >= 200 && statusCode < 300) resolve(answer)
          else failed(faultOf(answer) ?? `HTTP ${statusCode}`)
        })
      })
      call.on('error', (cause) => failed(cause.message, cause))
      call.end(text)
    })
  return {
    call: async (name, body) => {
      const [method = '', path = ''] = name.split(' ')
      await send(method, path, body)
    },
    info: async () => JSON.parse(await send('GET', '/', null)) as InstanceInfo,
  }
}

function faultOf(answer: string): string | null {
  try {
    const { fault_message } = JSON.parse(answer) as { fault_message?: unknown }
    return typeof fault_message === 'string' ? fault_message : null
  } catch {
    return null
  }
}
