// BullMQ: `node bench.mjs work`, `produce FIRST COUNT`, `idle FIRST COUNT`.
// Tuned: concurrency 64 in each process, jobs added in bulk, completed jobs removed, node's own
// HTTP client with kept connections (quicker here than fetch).
import http from "node:http";
import { Queue, Worker } from "bullmq";
import IORedis from "ioredis";

const [what, first, count] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const connection = new IORedis(process.env.BENCH_REDIS_SOCKET, { maxRetriesPerRequest: null });
const sink = new URL(process.env.BENCH_SINK_URL);
const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
const options = { attempts: 5, backoff: { type: "exponential", delay: 1000 }, removeOnComplete: true };

function payload(job) {
  return JSON.stringify({
    messaging_product: "whatsapp",
    recipient_type: "individual",
    to: String(5511980000000 + job),
    type: "text",
    text: {
      body: `[Ponte] Ticket 2026-${String(job).padStart(6, "0")}: o cliente pediu uma pessoa. Fila Suporte, N1, `
        + `prioridade alta.\nhttps://console.example.com/tickets/${job}`,
    },
    biz_opaque_callback_data: `notice:${job}`,
  });
}

function post(job) {
  return new Promise((resolve, reject) => {
    const body = payload(job);
    const request = http.request(
      {
        host: sink.hostname, port: sink.port, path: "/v1/messages", method: "POST", agent, timeout: 10000,
        headers: { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) },
      },
      (answer) => {
        answer.resume();
        answer.on("end", () => (answer.statusCode === 200 ? resolve() : reject(new Error(answer.statusCode))));
      },
    );
    request.on("error", reject);
    request.end(body);
  });
}

if (what === "work") {
  new Worker("bench", async (job) => post(job.data.job), { connection, concurrency: 64 });
} else {
  const queue = new Queue("bench", { connection });
  if (what === "produce") {
    for (let job = first; job < first + count; job += 250) {
      const size = Math.min(250, first + count - job);
      await queue.addBulk(
        Array.from({ length: size }, (_, i) => ({ name: "send", data: { job: job + i }, opts: options })),
      );
    }
  } else {
    await queue.add("send", { job: first }, options);
    for (let job = first + 1; job < first + count; job += 1) {
      await new Promise((done) => setTimeout(done, 200 + 300 * Math.random()));
      console.log(job, Number(process.hrtime.bigint()) / 1e9);
      await queue.add("send", { job }, options);
    }
  }
  await queue.close();
  connection.disconnect();
}
