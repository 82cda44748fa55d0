import { fileURLToPath } from 'node:url';
import type { MethodDefinition } from '@grpc/grpc-js';
import {
  type AnyDefinition,
  loadSync,
  type MessageTypeDefinition,
  type PackageDefinition,
} from '@grpc/proto-loader';
import type {
  WireChangeRequest,
  WireChangeStatus,
  WireFollowMessage,
  WireKeyspace,
  WireKeyspaceRequest,
  WireMasterMessage,
  WireProgress,
  WireStoreMessage,
  WireStoreStatus,
  WireTopology,
} from './wire-types.js';

/** The calls of the service Master in master.proto, with their messages as they are here. */
export interface MasterMethods {
  readonly Hello: MethodDefinition<{ version: string }, { version: string; clusterId: string }>;
  readonly Register: MethodDefinition<WireStoreMessage, WireMasterMessage>;
  readonly Follow: MethodDefinition<object, WireFollowMessage>;
  readonly GetTopology: MethodDefinition<object, WireTopology>;
  readonly ListStores: MethodDefinition<object, { stores: WireStoreStatus[] }>;
  readonly CreateKeyspace: MethodDefinition<WireKeyspaceRequest, WireKeyspace>;
  readonly DeleteKeyspace: MethodDefinition<{ name: string }, object>;
  readonly SwapDatabases: MethodDefinition<{ first: number; second: number }, object>;
  readonly BeginChange: MethodDefinition<WireChangeRequest, { id: string; explanation: string[] }>;
  readonly ListChanges: MethodDefinition<object, { changes: WireChangeStatus[] }>;
  readonly CompactKeyspace: MethodDefinition<{ name: string }, WireProgress>;
}

const FILE = new URL('./master.proto', import.meta.url);
let loaded: MasterMethods | undefined;

/** Reads master.proto, which lies beside this module, when it is first needed. */
export function masterMethods(): MasterMethods {
  loaded ??= load();
  return loaded;
}

/** See {@link prepareMessagesOf}. */
export function prepareMasterMessages(): Iterable<string> {
  return prepareMessagesOf(FILE);
}

function load(): MasterMethods {
  const methods = serviceIn(FILE, 'Master') as MasterMethods;
  return {
    ...methods,
    Register: { ...methods.Register, responseSerialize: once(methods.Register.responseSerialize) },
    Follow: { ...methods.Follow, responseSerialize: once(methods.Follow.responseSerialize) },
  };
}

const packages = new Map<string, PackageDefinition>();

function packageOf(file: URL): PackageDefinition {
  const options = { longs: Number, defaults: true, arrays: true, oneofs: true };
  let found = packages.get(file.href);
  if (found === undefined) {
    found = loadSync(fileURLToPath(file), options);
    packages.set(file.href, found);
  }
  return found;
}

/** The calls of a service of Vasto's, with messages as the wire types have them. @param file the .proto file */
export function serviceIn(file: URL, name: string): unknown {
  return packageOf(file)[`vasto.v1.${name}`];
}

/** What turns messages of one kind into their bytes. @param file the .proto file */
export function serializerIn<Message>(file: URL, name: string): (message: Message) => Buffer {
  const definition = packageOf(file)[`vasto.v1.${name}`] as MessageTypeDefinition<Message, object>;
  return definition.serialize;
}

/**
 * Has the code made that reads and writes the messages of a .proto file, half a millisecond for each. Or else that would
 * happen when one is first used: to a store dozens of them in the moment in which a change begins, while clients wait.
 * @returns gives the name of one message after the other, as they are done
 */
export function* prepareMessagesOf(file: URL): Generator<string> {
  for (const [name, definition] of Object.entries(packageOf(file))) {
    if (!isMessage(definition)) continue;
    definition.deserialize(definition.serialize({}));
    yield name;
  }
}

function isMessage(definition: AnyDefinition): definition is MessageTypeDefinition<object, object> {
  return 'serialize' in definition && 'deserialize' in definition;
}

/** Has a message with a topology serialized once, for all that it is sent to; wire.ts makes one of each topology. */
function once<Message extends { topology?: WireTopology | null | undefined }>(
  serialize: (message: Message) => Buffer,
): (message: Message) => Buffer {
  const made = new WeakMap<Message, Buffer>();
  return (message) => {
    if (!message.topology) return serialize(message);
    const known = made.get(message);
    if (known !== undefined) return known;
    const bytes = serialize(message);
    made.set(message, bytes);
    return bytes;
  };
}
