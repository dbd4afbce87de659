import { sourceClientContract } from '../../contracts/sourceClient.ts'
import { openKafkaHarness } from './kafkaHarness.ts'

sourceClientContract('the Kafka client', () => openKafkaHarness())
