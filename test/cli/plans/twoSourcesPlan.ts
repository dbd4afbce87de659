import { json, stream, topic } from 'millrace'

export default [stream('same').from(topic('a', json())), stream('same').from(topic('b', json()))]
