import { describe, expect, it } from 'vitest';
import { indexTerms, nameTerms } from '../../../src/shaping/words.ts';

describe('nameTerms', () => {
  it.each([
    'createPullRequest',
    'create_pull_request',
    'create-pull-request',
    'create.pull.request',
    'CREATE_PULL_REQUEST',
    'API-create-pull-request',
  ])('splits %s however it is written', (name) => {
    expect(nameTerms(name).filter((term) => term !== 'api')).toEqual(['creat', 'pull', 'request']);
  });

  it.each([
    ['getHTTPResponse', ['get', 'http', 'respons']],
    ['list_s3_objects', ['list', 's3', 'object']],
    ['oauth2Token', ['oauth2', 'oauth', 'token']],
    ['searchFlightsByDepArr', ['search', 'flight', 'dep', 'arr']],
  ])('%s', (name, terms) => {
    expect(nameTerms(name)).toEqual(terms);
  });
});

describe('indexTerms', () => {
  it('takes a word in any form for the same', () => {
    expect(indexTerms('searches searching searched')).toEqual(['search', 'search', 'search']);
    expect(indexTerms('repositories')).toEqual(indexTerms('repository'));
  });

  it('leaves out what says nothing', () => {
    expect(indexTerms('Could you please tell me what is in the file')).toEqual(['tell', 'file']);
  });

  it('keeps a brand whole and in parts', () => {
    expect(indexTerms('GitHub')).toEqual(['github', 'git', 'hub']);
    expect(indexTerms('github')).toEqual(['github']);
  });

  it('does not take a customer for something custom, nor news for new', () => {
    expect(indexTerms('customers')).not.toEqual(indexTerms('custom'));
    expect(indexTerms('news')).not.toEqual(indexTerms('new'));
  });

  it('cares for no accents and no width', () => {
    expect(indexTerms('Crème brûlée')).toEqual(indexTerms('creme brulee'));
    expect(indexTerms('ＧＩＴ')).toEqual(['git']);
  });

  it('cuts scripts without spaces into pairs', () => {
    expect(indexTerms('天气预报')).toEqual(['天气', '气预', '预报']);
    expect(indexTerms('查询12306车票')).toEqual(['查询', '12306', '车票']);
    expect(indexTerms('リポジトリ検索')).toEqual(['リポ', 'ポジ', 'ジト', 'トリ', 'リ検', '検索']);
    expect(indexTerms('저장소')).toEqual(['저장', '장소']);
  });

  it('stems Cyrillic', () => {
    expect(indexTerms('создания репозиториев')).toEqual(indexTerms('создание репозиторий'));
    expect(indexTerms('и в на')).toEqual([]);
  });

  it('does not grow by what is no word', () => {
    expect(indexTerms('x'.repeat(10_000)).every((term) => term.length <= 40)).toBe(true);
    expect(indexTerms('')).toEqual([]);
    expect(indexTerms('--- !!! ___')).toEqual([]);
  });
});
